// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package member makes this process a member of a group: it is the driver of the state machine in
// package role. It connects the machine with the other member (package peer) and with the bridges of
// this process.
//
// It promises:
//
//   - The bridges forward between Activate and Deactivate or Drain of [Bridges], and at no other time.
//   - After a freeze of the process, [Member.Frozen] returns true until the machine has processed the
//     freeze, so that nothing is written before.
//   - [Member.Permit] returns no error only if the machine has permitted the CONNECT packet within
//     the last heartbeat.
//   - The listener is open before the first Activate, and is closed after the end of all sessions. A
//     process whose listener fails ends its sessions and returns an error.
//
// At present a group is a pair without Kubernetes: two processes on two machines.
//
// Only the goroutine of Run uses the machine. All other goroutines pass it functions.
package member

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

const (
	// Duration is the unit of the times of a pair. It is the shortest --peer-timeout.
	Duration = 3 * time.Second
	// dialTimeout bounds a Dial of the machine.
	dialTimeout = time.Second
	// waitingInputs is the number of inputs that do not make their senders wait.
	waitingInputs = 64
)

// Bridges are the bridges of this process. The methods do not wait for servers.
type Bridges interface {
	// Activate starts all bridges. since is the time since which no member has forwarded.
	Activate(cause Cause, since time.Time)
	// Deactivate ends all bridges without a drain. Nothing is written when it returns.
	Deactivate()
	// Suspend ends the sessions of a bridge. Nothing is written for it when Suspend returns.
	Suspend(bridge string)
	// Resume permits the sessions of a suspended bridge.
	Resume(bridge string)
	// Drain drains all bridges and closes their sessions. Then it calls done, also if Deactivate or
	// Activate was called meanwhile.
	Drain(done func())
}

// Config has the settings of a member.
type Config struct {
	// Certificate has the key pair of this machine.
	Certificate tls.Certificate
	// Trusted is the fingerprint of the other machine's key.
	Trusted peer.Fingerprint
	// Address is the address of the other machine, host:port.
	Address string
	// Preferred and Timeout have the same meaning as in [role.Pair].
	Preferred bool
	Timeout   time.Duration
	// Bridges are the bridges of this process.
	Bridges Bridges
	// OnChange is called when the status changes. It must not wait.
	OnChange func(Status)
	Log      *slog.Logger
}

// Member is this process as a member of a group. Its methods may be called by several goroutines.
type Member struct {
	cfg      Config
	role     role.Config
	dialer   dialer
	endpoint *peer.Endpoint
	inputs   chan func()
	// done is closed when the machine processes no more inputs.
	done chan struct{}
	// tickedAt is the uptime of the latest tick that the machine has processed, in nanoseconds.
	tickedAt atomic.Int64

	// Only the goroutine of Run uses these fields.

	machine *role.Machine
	conns   map[role.ID]connection
	// waiting are the requests for CONNECT packets, by bridge.
	waiting map[string][]chan time.Duration
	// drains is the number of drains. A drain that has been replaced is not reported.
	drains int
	// heardAt is the time of the latest message of the other member while it was active. It is zero if
	// there was none.
	heardAt time.Time

	// mu guards the fields below. No other lock is taken while it is held.
	mu        sync.Mutex
	status    Status
	knowledge map[string]*peer.Knowledge
}

// connection is the connection in use to another member.
type connection struct {
	*peer.Conn
	since time.Duration // the uptime at which it was made
}

// errSameKey is the error of two machines with one key pair.
var errSameKey = errors.New("both machines have the same key pair; each machine needs its own, because the keys identify the machines")

// New returns a member. It does not listen yet.
func New(cfg Config) (*Member, error) {
	own, err := peer.FingerprintOf(cfg.Certificate)
	if err != nil {
		return nil, err
	}
	if own == cfg.Trusted {
		return nil, errSameKey
	}
	self := role.ID{Pod: string(own), Process: rand.Text()}
	m := &Member{
		cfg:    cfg,
		role:   role.Config{Self: self, Duration: Duration, Pair: &role.Pair{Peer: string(cfg.Trusted), Preferred: cfg.Preferred, Timeout: cfg.Timeout}},
		dialer: dialer{address: cfg.Address},
		inputs: make(chan func(), waitingInputs), done: make(chan struct{}),
		conns: map[role.ID]connection{}, waiting: map[string][]chan time.Duration{}, knowledge: map[string]*peer.Knowledge{},
	}
	m.machine = role.New(m.role, m.now())
	m.status = Status{State: role.Starting, Since: time.Now(), Peer: PeerStatus{Address: cfg.Address}}
	m.endpoint, err = peer.New(peer.Config{
		Group: "pair", Identity: identity(self), Certificate: cfg.Certificate,
		Trusted:  func(f peer.Fingerprint) bool { return f == cfg.Trusted },
		Interval: m.role.Heartbeat(), Silence: Duration,
		Handler: handler{m}, Log: cfg.Log,
	}, stateOf(m.machine.Announcement()))
	return m, err
}

// now is the time for the machine. Only differences count.
func (*Member) now() time.Time { return time.Unix(0, 0).Add(uptime()) }

// Frozen reports whether the process may have been frozen, and the machine has not processed it. It
// needs some 100 ns.
func (m *Member) Frozen() bool {
	return uptime()-time.Duration(m.tickedAt.Load()) >= m.role.FreezeLimit()
}

// Run runs the member until its machine ends the process, after [Member.Shutdown]. It returns an error
// if the listener fails.
func (m *Member) Run(listener net.Listener) error {
	m.tickedAt.Store(int64(uptime()))
	failed := make(chan error, 1)
	go func() { failed <- m.endpoint.Serve(context.Background(), listener) }()
	defer m.endpoint.Close() // says goodbye
	defer close(m.done)
	ticks := time.NewTicker(m.role.Heartbeat())
	defer ticks.Stop()
	m.step(role.Tick{}) // dials
	for m.machine.State() != role.Stopped {
		select {
		case input := <-m.inputs:
			m.noticeFreeze()
			input()
		case <-ticks.C:
			m.noticeFreeze()
			m.step(role.Tick{})
			m.tickedAt.Store(int64(uptime()))
		case err := <-failed:
			m.cfg.Bridges.Deactivate()
			return fmt.Errorf("the listener for the other machine has failed, so that the process ends: %w", err)
		}
	}
	return nil
}

// noticeFreeze reports a freeze to the machine, before any other event.
func (m *Member) noticeFreeze() {
	if m.Frozen() {
		m.cfg.Log.Warn("the process did not run for a time; it forwards nothing until it is certain that the other machine is not active", "longerThan", m.role.FreezeLimit())
		m.step(role.Froze{})
		m.tickedAt.Store(int64(uptime()))
	}
}

// post passes a function to the goroutine of Run.
func (m *Member) post(input func()) {
	select {
	case m.inputs <- input:
	case <-m.done:
	}
}

func (m *Member) postEvent(e role.Event) { m.post(func() { m.step(e) }) }

// step passes an event to the machine, and carries out its actions.
func (m *Member) step(e role.Event) {
	before := m.machine.State()
	for _, a := range m.machine.Step(e, m.now()) {
		m.carryOut(a, before, e)
	}
	m.updateStatus(before)
}

// Shutdown ends the process: Run returns after the hand-over.
func (m *Member) Shutdown() { m.postEvent(role.ShutdownRequested{}) }

// HandOver makes the other member active, if it is warm and connected.
func (m *Member) HandOver() { m.postEvent(role.HandOverRequested{}) }

// TakeOver makes this member active: the user declares that the other machine is dead.
func (m *Member) TakeOver() { m.postEvent(role.TakeOverRequested{}) }

// SetWarm reports whether the bridges can start at once.
func (m *Member) SetWarm(warm bool) { m.postEvent(role.Warm{Warm: warm}) }

// SessionEnded reports that a server has ended a session of a bridge. taken is true if the server says
// that another client has taken the session over.
func (m *Member) SessionEnded(bridge string, taken bool) {
	m.postEvent(role.SessionEnded{Bridge: bridge, Taken: taken})
}

// Permit waits until a CONNECT packet of a bridge may be written at once.
func (m *Member) Permit(ctx context.Context, bridge string) error {
	for {
		permitted := make(chan time.Duration, 1)
		m.post(func() {
			if ctx.Err() == nil {
				m.waiting[bridge] = append(m.waiting[bridge], permitted)
				m.step(role.ConnectRequested{Bridge: bridge})
			}
		})
		select {
		case at := <-permitted:
			if at > 0 && uptime()-at < m.role.Heartbeat() {
				return nil
			}
		case <-ctx.Done():
			m.post(func() { m.forget(bridge, permitted) })
			return ctx.Err()
		case <-m.done:
			return context.Canceled
		}
	}
}
