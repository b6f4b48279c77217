// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// versions runs a test for both versions of MQTT.
func versions(t *testing.T, test func(t *testing.T, p *peer)) {
	t.Helper()
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		t.Run(fmt.Sprintf("version=%d", v), func(t *testing.T) { test(t, newPeer(t, v)) })
	}
}

// peer is a scripted server, and the configuration to connect to it.
type peer struct {
	t      *testing.T
	server *script.Server
	cfg    Config
}

func newPeer(t *testing.T, v packet.Version) *peer {
	server := script.Listen(t, byte(v))
	return &peer{t: t, server: server, cfg: Config{
		Transport: transport.Config{HostPort: server.Addr()}, Version: v, ClientID: "x",
		KeepAlive: time.Minute, PingTimeout: time.Minute, AckTimeout: time.Minute, Window: 10,
		State: NewState(),
	}}
}

func (p *peer) v5() bool { return p.cfg.Version == packet.V5 }

// opened is the result of Open.
type opened struct {
	s   *Session
	err error
}

// dial begins to open a session, and returns the server's end.
func (p *peer) dial() (c *script.Conn, done <-chan opened) {
	p.t.Helper()
	opening := make(chan opened, 1)
	cfg := p.cfg
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), script.Timeout)
		defer cancel()
		s, err := Open(ctx, cfg)
		opening <- opened{s, err}
	}()
	return p.server.Accept(), opening
}

// refused opens a session at a server that sends only answer, and returns the error.
func (p *peer) refused(answer string) *Problem {
	p.t.Helper()
	c, done := p.dial()
	c.Next()
	c.SendBytes(answer)
	return p.wantError(<-done)
}

func (p *peer) wantError(o opened) *Problem {
	p.t.Helper()
	if explained(o.err) == nil || o.s != nil {
		p.t.Fatalf("opened: %v, %v", o.s, o.err)
	}
	return Explain(o.err)
}

// link holds both ends of a session.
type link struct {
	*recorder
	s *Session
	c *script.Conn
}

// connect opens and starts a session.
func (p *peer) connect(connack script.Packet) *link {
	p.t.Helper()
	c, done := p.dial()
	c.Next()
	c.Send(connack)
	return p.use(c, <-done)
}

// use starts a session.
func (p *peer) use(c *script.Conn, o opened) *link {
	p.t.Helper()
	s := p.keep(c, o)
	r := &recorder{t: p.t, s: s, events: make(chan string, 10000), awake: make(chan struct{}, 1)}
	s.Start(r)
	return &link{recorder: r, s: s, c: c}
}

// keep returns a session that was opened, and closes it at the end of the test.
func (p *peer) keep(c *script.Conn, o opened) *Session {
	p.t.Helper()
	if o.err != nil {
		p.t.Fatal(o.err)
	}
	p.t.Cleanup(func() {
		_ = c.Close() // so that the session need not wait for it
		o.s.Close()
	})
	return o.s
}

// new connects to a server that has no session. resume connects to a server that resumes
// the session.
func (p *peer) new() *link { p.t.Helper(); return p.connect(script.Connack(false, nil)) }

func (p *peer) resume() *link { p.t.Helper(); return p.connect(script.Connack(true, nil)) }

// idle opens a session without a reader.
func (p *peer) idle() (*script.Conn, *Session) {
	p.t.Helper()
	c, done := p.dial()
	c.Next()
	c.Send(script.Connack(false, nil))
	return c, p.keep(c, <-done)
}

// recorder is a handler that records its calls as events.
type recorder struct {
	t      *testing.T
	s      *Session
	events chan string
	ready  func()
	awake  chan struct{} // receives a value when Ready is called

	mu sync.Mutex
	in []*Inbound // received and not acknowledged
}

func (r *recorder) Received(in *Inbound) {
	r.mu.Lock()
	r.in = append(r.in, in)
	r.mu.Unlock()
	r.events <- "received " + in.Payload
}

func (r *recorder) Redelivered(in *Inbound) { r.events <- "redelivered " + in.Payload }

func (r *recorder) Acknowledged(m *Outgoing, refused *Refusal) {
	if refused != nil {
		r.events <- "refused " + m.Payload + ": " + Explain(refused.Error).Message
		return
	}
	r.events <- "acknowledged " + m.Payload
}

func (r *recorder) Ready() {
	select {
	case r.awake <- struct{}{}:
	default:
	}
	if r.ready != nil {
		r.ready()
	}
}

// want waits for these events, in this order, without others between them.
func (r *recorder) want(events ...string) {
	r.t.Helper()
	for _, want := range events {
		select {
		case got := <-r.events:
			if got != want {
				r.t.Fatalf("%s; want %s", got, want)
			}
		case <-time.After(script.Timeout):
			r.t.Fatalf("nothing; want %s", want)
		}
	}
}

// wantNoMore fails if there was another event.
func (r *recorder) wantNoMore() {
	r.t.Helper()
	select {
	case got := <-r.events:
		r.t.Fatalf("%s; want nothing more", got)
	default:
	}
}

// ack acknowledges messages that were received.
func (r *recorder) ack(payloads ...string) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, payload := range payloads {
		i := slices.IndexFunc(r.in, func(in *Inbound) bool { return in.Payload == payload })
		if i < 0 {
			r.t.Fatalf("%s was not received", payload)
		}
		r.in[i].Ack()
		r.in = slices.Delete(r.in, i, i+1)
	}
	r.s.flusher.Flush()
}

// inherit adds the messages that were received on an earlier connection.
func (r *recorder) inherit(in []*Inbound) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.in = append(in, r.in...)
}

// message returns a message to publish.
func message(qos byte, payload string) *Outgoing {
	return &Outgoing{Message: Message{Topic: "t", Payload: payload, QoS: qos}, ReceivedAt: time.Now()}
}

// publish publishes and flushes.
func (l *link) publish(messages ...*Outgoing) {
	l.t.Helper()
	for _, m := range messages {
		if got := l.s.Publish(m, time.Now()); got != Sent && got != Written {
			l.t.Fatalf("publishing %s: %v", m.Payload, got)
		}
	}
	l.s.flusher.Flush()
}

// publishWhenReady publishes a message when Ready is called and there is room for it.
func (l *link) publishWhenReady(m *Outgoing) {
	l.t.Helper()
	for {
		select {
		case <-l.awake:
		case <-time.After(script.Timeout):
			l.t.Fatal("Ready is not called")
		}
		if l.s.Publish(m, time.Now()) == Sent {
			l.s.flusher.Flush()
			return
		}
	}
}

// wantResult publishes a message and fails if the result is another.
func (l *link) wantResult(want Result, m *Outgoing) {
	l.t.Helper()
	if got := l.s.Publish(m, time.Now()); got != want {
		l.t.Fatalf("publishing %s: %v, want %v", m.Payload, got, want)
	}
}

// cut ends the connection from the server's side, and waits until the session has
// noticed.
func (l *link) cut() {
	l.t.Helper()
	_ = l.c.Close()  // the connection must end
	_ = l.wantOver() // it ends because of the connection
}

// wantOver waits for the end of the session, and returns why it has ended.
func (l *link) wantOver() *Problem {
	l.t.Helper()
	select {
	case <-l.s.Done():
	case <-time.After(script.Timeout):
		l.t.Fatal("the session does not end")
	}
	if explained(l.s.Err()) == nil {
		return nil
	}
	return Explain(l.s.Err())
}

// sync returns when the session has handled all packets that the server has sent: it sends
// a PUBREL of an unused identifier and waits for the answer.
func (l *link) sync() {
	l.t.Helper()
	const unused = 60000
	l.c.Send(script.Ack(v5.PUBREL, unused, 0))
	code := ""
	if l.s.version == packet.V5 {
		code = " 0x92"
	}
	l.c.Want(fmt.Sprintf("PUBCOMP %d%s", unused, code))
}

// Inflight returns the number of QoS 1 and 2 messages that are sent and not acknowledged.
func (s *Session) Inflight() int {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return s.state.out.count
}
