// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package peer connects the runner processes of a group, its members, with each other, so that a
// member detects within milliseconds that another one has ended, and can hand over to it.
//
// It promises:
//
//   - Both ends of a connection are authenticated: TLS 1.3 with a key pair on each end, and
//     [Config.Trusted] decides which public keys are accepted. A client with another key receives
//     the certificate of this process and nothing else, and changes nothing.
//   - Clients without an accepted key use at most [maxPending] connections and goroutines, each
//     for at most [handshakeTimeout]. If there are more, the connection that has waited longest
//     is closed, of the address that has the most.
//   - [Evidence] and [Ending] distinguish the proof that a process has ended from observations that
//     prove nothing.
//   - No method except Dial, Serve and Close waits for another member. The queue of a connection is
//     bounded, and of the states and the knowledge only the latest one is sent.
//
// A refused connection proves that no process listens at the address, because the kernel of the
// host answers. It proves that the member has ended only if the address is the member's own, such
// as the address of a pod. A Service without endpoints refuses connections, too, and so does a
// firewall. On Linux, Dial recognizes a refusal by ICMP, which a firewall and a Service send.
//
// The proof also needs the cooperation of each process: it listens before it forwards the first
// message, and until it has forwarded the last one. It ends if its listener fails.
//
// The package does not protect against a flood of valid handshakes, which costs processor time; a
// NetworkPolicy does. It does not decide which member is active: package role does.
package peer

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Version is the version of the protocol that this package speaks. A member accepts every version:
// it ignores the kinds of messages and the fields that it does not know.
const Version = 1

const (
	// handshakeTimeout limits the time from the accepted connection to the Hello of the client, and
	// the same time at the client.
	handshakeTimeout = 3 * time.Second
	// closeTimeout is the longest time for the last messages of a connection that this process closes.
	closeTimeout = time.Second
)

// Config has the settings of an endpoint.
type Config struct {
	// Group is the name of the group. Members of different groups do not connect.
	Group string
	// Identity is unique for each process, also for two processes of the same pod.
	Identity string
	// Certificate has the key pair of this process.
	Certificate tls.Certificate
	// Preferred is true if this member is preferred to the other one of a pair. The other member learns it.
	Preferred bool
	// Timeout is the time after which a member of a pair becomes active if it cannot reach the other one. The
	// other member learns it. It is nil in other groups.
	Timeout *time.Duration
	// Trusted reports whether a public key belongs to a member of the group. It is called at each
	// handshake and for each message, must not wait, and may be called by several goroutines.
	Trusted func(Fingerprint) bool
	// Interval is the time between two heartbeats. It is greater than 0.
	Interval time.Duration
	// Silence is the time without a message after which a connection ends. It is greater than
	// Interval.
	Silence time.Duration
	// Handler receives the events of all connections.
	Handler Handler
	Log     *slog.Logger
}

// Handler receives the events of connections: for each connection first Connected, then Received
// for each message, then Ended, one after the other. Events of different connections may arrive at
// the same time. While a method runs, no further message of the connection is read, so it must
// return before [Config.Silence] has passed. It may call all methods of this package except
// [Endpoint.Close].
type Handler interface {
	// Connected reports a new connection. Peer returns the other member.
	Connected(c *Conn)
	// Received reports a message: a *[Heartbeat], *[Query], *[Answer], *[AskHandOver], *[HandOver] or
	// *[Knowledge].
	Received(c *Conn, m Message)
	// Ended reports the end of a connection. err is the cause, for the log. It is nil if a member has
	// closed the connection.
	Ended(c *Conn, how Ending, err error)
}

// Endpoint is the end of all connections of this process. Its methods may be called by several
// goroutines.
type Endpoint struct {
	cfg            Config
	server, client *tls.Config
	pending        pending

	// mu guards the fields below. While it is held, Conn.mu may be taken.
	mu        sync.Mutex
	state     State
	knowledge map[string]*Knowledge
	conns     map[connKey]*Conn
	closed    bool
	// stop ends the heartbeats, the listeners and the handshakes.
	stop context.CancelFunc
	ctx  context.Context
	// running counts the goroutines of the endpoint. It does not grow after closed is set.
	running sync.WaitGroup
}

// connKey identifies a connection. Two members may have two connections with each other: each has
// dialled one.
type connKey struct {
	fingerprint Fingerprint
	dialled     bool
}

// New returns an endpoint. The caller closes it.
func New(cfg Config, state State) (*Endpoint, error) {
	if cfg.Interval <= 0 || cfg.Silence <= cfg.Interval {
		return nil, fmt.Errorf("heartbeats every %s cannot keep a connection whose silence is limited to %s", cfg.Interval, cfg.Silence)
	}
	e := &Endpoint{cfg: cfg, state: state, knowledge: map[string]*Knowledge{}, conns: map[connKey]*Conn{}}
	e.pending.conns = map[*pendingConn]bool{}
	e.server, e.client = tlsConfigs(&cfg)
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.running.Go(e.beat)
	return e, nil
}

// beat sends heartbeats until the endpoint is closed.
func (e *Endpoint) beat() {
	ticks := time.NewTicker(e.cfg.Interval)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			e.mu.Lock()
			e.sendStateLocked()
			e.mu.Unlock()
		case <-e.ctx.Done():
			return
		}
	}
}

// SetState sets the state of this member, and sends it on all connections at once.
func (e *Endpoint) SetState(state State) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state != state {
		e.state = state
		e.sendStateLocked()
	}
}

func (e *Endpoint) sendStateLocked() {
	for _, c := range e.conns {
		c.Send(&Heartbeat{State: e.state})
	}
}

// SetKnowledge sets the knowledge of this member about the servers of a bridge, and sends it on all
// connections, now and at the beginning of later ones. The caller does not change k afterwards.
// Knowledge without sides is sent and then forgotten.
func (e *Endpoint) SetKnowledge(k *Knowledge) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.knowledge[k.Bridge] = k; len(k.Sides) == 0 {
		delete(e.knowledge, k.Bridge)
	}
	for _, c := range e.conns {
		c.Send(k)
	}
}

// ForgetKnowledge forgets the knowledge of this member about the servers of all bridges, because another
// member is active. Queued messages are sent nevertheless.
func (e *Endpoint) ForgetKnowledge() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.knowledge)
}

// hello returns the first message of this member.
func (e *Endpoint) hello() *Hello {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := &Hello{Version: Version, Identity: e.cfg.Identity, Group: e.cfg.Group, Preferred: e.cfg.Preferred, State: e.state}
	if e.cfg.Timeout != nil {
		millis := e.cfg.Timeout.Milliseconds()
		h.TimeoutMillis = &millis
	}
	return h
}

// start registers a connection and starts its goroutines. A registered connection with the same key
// ends: the other member has only one, so it has lost that one. start reports false if the endpoint
// is closed.
func (e *Endpoint) start(c *Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	if earlier := e.conns[c.key]; earlier != nil {
		earlier.end(Replaced, nil)
	}
	e.conns[c.key] = c
	c.Send(&Heartbeat{State: e.state}) // it may have changed since the Hello
	for _, k := range e.knowledge {
		c.Send(k)
	}
	e.running.Go(c.write)
	e.running.Go(c.read)
	return true
}

// remove forgets a connection that has ended.
func (e *Endpoint) remove(c *Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conns[c.key] == c {
		delete(e.conns, c.key)
	}
}

// Close is called when this process forwards no more. It says goodbye on all connections, ends the listeners, and returns when the Handler has
// received the end of each connection: at most about a second later, plus the time of the Handler.
func (e *Endpoint) Close() {
	e.mu.Lock()
	e.closed = true
	for _, c := range e.conns {
		c.goodbye(true)
	}
	e.mu.Unlock()
	e.stop()
	e.running.Wait()
}
