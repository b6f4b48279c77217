// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

func rules(t testing.TB, rules ...v1alpha1.Rule) []manifest.Rule {
	t.Helper()
	out, err := manifest.Rules(rules)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// world is a pipe between two sides. The test decides how their servers behave.
type world struct {
	t                   *testing.T
	pipe                *Pipe
	meter               *counts
	source, destination *side
	reverse             *Pipe // carries dead letters to the source; nil if there are none

	flusher session.Flusher // of all sessions
}

// newWorld returns a world with a pipe for the rules. Nothing is connected yet.
func newWorld(t *testing.T, v packet.Version, all ...v1alpha1.Rule) *world {
	return newWorldWith(t, v, Options{}, all...)
}

func newWorldWith(t *testing.T, v packet.Version, opts Options, all ...v1alpha1.Rule) *world {
	meter := &counts{dropped: map[string]int{}}
	w := &world{t: t, meter: meter}
	w.checkBodies()
	opts.Flush = w.flush
	if opts.Tracer == nil { // so that each test checks that all spans end once
		opts.Tracer = newSpans(t)
	}
	w.pipe = New(rules(t, all...), meter, opts)
	w.source, w.destination = newSide(w, v), newSide(w, v)
	w.watch(w.pipe, meter)
	return w
}

// worlds is the number of worlds that are in use.
var worlds atomic.Int64

// checkBodies fails at the end of the test if the buffer of a message is still in use. Of tests that
// run in parallel, the last one fails.
func (w *world) checkBodies() {
	worlds.Add(1)
	w.t.Cleanup(func() {
		w.source, w.destination = nil, nil // package testing keeps the functions for Cleanup, and w with them
		if worlds.Add(-1) == 0 {
			wantNoBodies(w.t)
		}
	})
}

// wantNoBodies fails unless no message of the process has a buffer any more: each buffer was released,
// or is removed by the garbage collector.
func wantNoBodies(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		runtime.GC()
		if n := bodiesInUse(); n > 0 {
			return fmt.Errorf("%d buffers are in use", n)
		}
		return nil
	})
}

// watch checks the invariants of p whenever it reports to its meter, and at the end. Then p drops its
// messages: timers may refer to it for a minute.
func (w *world) watch(p *Pipe, meter *counts) {
	reports := 0
	meter.onSetHeld = func() {
		const few, rarely = 50, 200 // a long queue is not walked at each report
		reports++
		if p.heldLocked() <= few || reports%rarely == 0 {
			w.checkInvariantsLocked(p)
		}
	}
	w.t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		w.checkInvariantsLocked(p)
		if s, ok := p.opts.Tracer.(*spans); ok {
			s.checkOpen(len(p.spans))
		}
		p.spans = nil
		meter.onSetHeld = nil
		p.dest, p.lastState, p.leftStates, p.leftAtSource, p.routes = nil, nil, nil, leftAtSource{}, routes{}
		p.queue, p.isolation, p.refusals = queue{}, isolation{}, refusals{byMessage: map[*outgoing]*refusal{}}
		if p.spool != nil {
			p.spool.pending = queue{}
		}
	})
}

func (w *world) checkInvariantsLocked(p *Pipe) {
	w.t.Helper()
	if err := p.checkInvariantsLocked(); err != nil {
		w.t.Errorf("an invariant does not hold: %v\n%s", err, debug.Stack())
	}
}

// checkInvariants fails if an invariant of the pipe does not hold.
func (w *world) checkInvariants() {
	w.t.Helper()
	w.pipe.mu.Lock()
	defer w.pipe.mu.Unlock()
	w.checkInvariantsLocked(w.pipe)
}

// side is one side of a pipe: a server, and the state of the session with it.
type side struct {
	w       *world
	version packet.Version
	server  *script.Server
	state   *session.State
	s       *session.Session
	open    **session.Session // the variable that the end of the test closes
	*script.Conn
	ackTimeout time.Duration
	window     int
	out        *Pipe // receives the messages of the server; nil: the pipe of the world
}

func newSide(w *world, v packet.Version) *side {
	return &side{w: w, version: v, server: script.Listen(w.t, byte(v)), state: session.NewState(), ackTimeout: time.Minute, window: 10}
}

// connect connects to the side's server.
func (x *side) connect(resumed bool, properties *v5.Properties) {
	x.w.t.Helper()
	var s *session.Session
	opened := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), script.Timeout)
		defer cancel()
		var err error
		s, err = session.Open(ctx, session.Config{
			Transport: transport.Config{HostPort: x.server.Addr()}, Version: x.version, ClientID: "x", State: x.state,
			KeepAlive: time.Minute, PingTimeout: time.Minute, AckTimeout: x.ackTimeout, Window: x.window, Flusher: &x.w.flusher,
		})
		opened <- err
	}()
	x.Conn = x.server.Accept()
	x.Next()
	x.Send(script.Connack(resumed, properties))
	if err := <-opened; err != nil {
		x.w.t.Fatal(err)
	}
	x.s, x.open = s, &s
	c := x.Conn
	x.w.t.Cleanup(func() {
		_ = c.Close()
		if s != nil {
			s.Close()
		}
		s = nil
	})
	s.Start(handler{x.w, s, cmp.Or(x.out, x.w.pipe)})
}

// up connects, and makes the session the destination.
func (x *side) up(resumed bool) {
	x.w.t.Helper()
	x.connect(resumed, nil)
	x.w.pipe.Up(x.s)
	x.w.flush()
}

// cut closes the connection on the server's side, and waits until the session has ended.
func (x *side) cut() {
	x.w.t.Helper()
	_ = x.Close() // the connection may be closed already
	<-x.s.Done()
	*x.open = nil
}

// down cuts the destination and reports the loss to the pipe.
func (x *side) down() {
	x.w.t.Helper()
	x.cut()
	x.w.pipe.Down(x.s)
	x.w.flush()
}

// pretendLongConnection makes the destination's session look an hour old.
func (w *world) pretendLongConnection() {
	w.pipe.mu.Lock()
	defer w.pipe.mu.Unlock()
	w.pipe.destSince = time.Now().Add(-time.Hour)
}

// flush sends the data that was written to the sessions.
func (w *world) flush() { w.flusher.Flush() }

// handler does the same as the handler of a bridge.
type handler struct {
	w   *world
	s   *session.Session
	out *Pipe
}

func (h handler) Received(in *session.Inbound) { h.out.Receive(in) }
func (h handler) Redelivered(*session.Inbound) { h.out.Redelivered() }
func (h handler) Acknowledged(m *session.Outgoing, refused *session.Refusal) {
	h.w.pipe.Acknowledged(h.s, m, refused)
	if h.w.reverse != nil { // each pipe handles the messages of its own destination
		h.w.reverse.Acknowledged(h.s, m, refused)
	}
}

func (h handler) Ready() {
	h.w.pipe.Ready(h.s)
	if h.w.reverse != nil {
		h.w.reverse.Ready(h.s)
	}
}

// counts is a meter that stores the counts.
type counts struct {
	mu          sync.Mutex
	forwarded   int
	dropped     map[string]int
	matched     map[string]int // by rule and result
	refused     []string
	unrouted    []string
	givenUp     []UnforwardableMessage
	unblocked   int
	resent      int
	redelivered int
	held        int
	inflight    int
	diskFailed  int
	replaced    int
	// onSetHeld is called by SetHeld, with Pipe.mu held. It may be nil.
	onSetHeld func()
}

func (c *counts) count(add func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	add()
}

func (c *counts) Forwarded(int, time.Duration) { c.count(func() { c.forwarded++ }) }

func (c *counts) Dropped(cause string) { c.count(func() { c.dropped[cause]++ }) }

// droppedFor returns the number of messages that were dropped for a cause.
func (c *counts) droppedFor(cause string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped[cause]
}

func (c *counts) Unforwardable(m UnforwardableMessage) {
	c.count(func() {
		c.refused = append(c.refused, m.Topic)
		c.givenUp = append(c.givenUp, m)
	})
}

func (c *counts) Unrouted(topic, cause, rules string) {
	c.count(func() { c.unrouted = append(c.unrouted, cause+" "+topic+" "+rules) })
}

func (c *counts) Matched(rule int, cause string) {
	c.count(func() {
		if c.matched == nil {
			c.matched = map[string]int{}
		}
		c.matched[fmt.Sprintf("%d %s", rule, cmp.Or(cause, "routed"))]++
	})
}

func (c *counts) Unblocked() { c.count(func() { c.unblocked++ }) }

func (c *counts) Resent(n int) { c.count(func() { c.resent += n }) }

func (c *counts) Redelivered() { c.count(func() { c.redelivered++ }) }

func (c *counts) SetHeld(messages, inflight int) {
	c.count(func() { c.held, c.inflight = messages, inflight })
	if c.onSetHeld != nil {
		c.onSetHeld()
	}
}

func (c *counts) DiskFailed() { c.count(func() { c.diskFailed++ }) }

func (c *counts) Replaced() { c.count(func() { c.replaced++ }) }

// wantNoQoS0 fails if the pipe counts QoS 0 messages.
func (w *world) wantNoQoS0() {
	w.t.Helper()
	w.pipe.mu.Lock()
	defer w.pipe.mu.Unlock()
	if w.pipe.qos0Bytes != 0 {
		w.t.Errorf("%d bytes of QoS 0 are counted", w.pipe.qos0Bytes)
	}
}

// String lists the counts.
func (c *counts) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("forwarded %d, dropped %v, refused %v, resent %d, redelivered %d, held %d, in flight %d", c.forwarded, c.dropped, c.refused, c.resent, c.redelivered, c.held, c.inflight)
}

// want fails unless the counts are as given.
func (c *counts) want(t *testing.T, want string) {
	t.Helper()
	if got := c.String(); got != want {
		t.Errorf("counted: %s\nwant: %s", got, want)
	}
}

// sync returns when everything that the server has sent is handled.
func (x *side) sync() {
	x.w.t.Helper()
	const unused = 60000
	x.Send(script.Ack(v5.PUBREL, unused, 0))
	code := ""
	if x.version == packet.V5 {
		code = " 0x92"
	}
	x.Want(fmt.Sprintf("PUBCOMP %d%s", unused, code))
}

// versions runs a test for both versions of MQTT.
func versions(t *testing.T, test func(t *testing.T, v packet.Version)) {
	t.Helper()
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		t.Run(fmt.Sprintf("version=%d", v), func(t *testing.T) { test(t, v) })
	}
}
