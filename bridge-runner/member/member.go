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
// A group is a pair without Kubernetes, which are two processes on two machines; or, with
// [Config.Lease], the processes that a Lease lists. The two kinds differ in the [directory], and in the
// actions for the Lease (store).
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
	"math"
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
	// maxTerm is the highest term that a Lease accepts.
	maxTerm = math.MaxInt32
	// waitingInputs is the number of inputs that do not make their senders wait.
	waitingInputs = 64
)

// Activation is the beginning of the time in which a member is active.
type Activation struct {
	Cause Cause
	// Since is the time since which no member has forwarded, as far as this member knows.
	Since time.Time
	// HeardAt is the latest sign of life of another member that was active. It is zero if there was none.
	HeardAt time.Time
	// From is the pod, or the machine, that was active before. It is empty if it is not known.
	From string
}

// Bridges are the bridges of this process. The methods do not wait for servers.
type Bridges interface {
	// Activate starts all bridges.
	Activate(a Activation)
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
	// Certificate has the key pair of this process.
	Certificate tls.Certificate
	// Lease has the settings of a group with a Lease. It is nil for a pair.
	Lease *LeaseConfig
	// Trusted is the fingerprint of the other machine's key. As Address, Preferred and Timeout, it is used
	// for a pair only.
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
	cfg       Config
	role      role.Config
	directory directory
	// store is nil for a pair.
	store    *store
	endpoint *peer.Endpoint
	inputs   chan func()
	// done is closed when the machine processes no more inputs.
	done chan struct{}
	// tickedAt is the uptime of the latest tick that the machine has processed, in nanoseconds.
	tickedAt atomic.Int64

	// Only the goroutine of Run uses these fields.

	machine *role.Machine
	conns   map[role.ID]connection
	// replaced are the processes whose connections another one has replaced that is not reported yet, by pod.
	replaced map[string]role.ID
	// waiting are the requests for CONNECT packets, by bridge.
	waiting map[string][]chan time.Duration
	// dialing has the pods to which a Dial is under way. nextDial are the Dials that wait for its end.
	dialing  map[string]bool
	nextDial map[string]role.ID
	// dialProblem is why the latest Dial failed. It is empty if it succeeded, or if the other member has
	// connected since.
	dialProblem string
	// drains is the number of drains. A drain that has been replaced is not reported.
	drains int
	// heardAt is the time of the latest sign of life of another member that was active, and active this
	// member. They are zero if there was none.
	heardAt time.Time
	active  role.ID
	// forwardedAt is the latest end of a time in which this member was active. It is zero if there was none.
	forwardedAt time.Time

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
	m := &Member{
		cfg: cfg, inputs: make(chan func(), waitingInputs), done: make(chan struct{}),
		dialing: map[string]bool{}, nextDial: map[string]role.ID{},
		conns: map[role.ID]connection{}, replaced: map[string]role.ID{}, waiting: map[string][]chan time.Duration{}, knowledge: map[string]*peer.Knowledge{},
	}
	group := peer.Config{Certificate: cfg.Certificate, Handler: handler{m}, Log: cfg.Log}
	if cfg.Lease != nil {
		err = m.useLease(&group, own)
	} else {
		err = m.usePair(&group, own)
	}
	if err != nil {
		return nil, err
	}
	m.machine = role.New(m.role, m.now())
	m.status = Status{State: role.Starting, Since: time.Now(), Peer: PeerStatus{Address: cfg.Address}}
	group.Identity, group.Interval, group.Trusted = identity(m.role.Self), m.role.Heartbeat(), m.directory.trusted
	m.endpoint, err = peer.New(group, stateOf(m.machine.Announcement()))
	return m, err
}

// usePair makes the settings of a pair.
func (m *Member) usePair(group *peer.Config, own peer.Fingerprint) error {
	cfg := &m.cfg
	if own == cfg.Trusted {
		return errSameKey
	}
	m.role = role.Config{
		Self: role.ID{Pod: string(own), Process: rand.Text()}, Duration: Duration,
		Pair: &role.Pair{
			Peer: string(cfg.Trusted), Preferred: cfg.Preferred, Timeout: cfg.Timeout,
			Born: uint64(max(time.Now().Unix(), 0)),
		},
	}
	m.directory = &otherMachine{key: cfg.Trusted, address: cfg.Address}
	group.Group, group.Silence, group.Preferred = "pair", Duration, cfg.Preferred
	group.Timeout = &cfg.Timeout
	return nil
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
	defer m.store.start()()
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
			return fmt.Errorf("the listener for the other members has failed, so that the process ends: %w", err)
		}
	}
	return nil
}

// noticeFreeze reports a freeze to the machine, before any other event.
func (m *Member) noticeFreeze() {
	if m.Frozen() {
		m.cfg.Log.Warn("the process did not run for a time; it forwards nothing until it is certain that no other member is active", "longerThan", m.role.FreezeLimit())
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
		m.carryOut(a, e)
	}
	m.updateStatus(before)
}

// Shutdown ends the process: Run returns after the hand-over.
func (m *Member) Shutdown() { m.postEvent(role.ShutdownRequested{}) }

// HandOver makes the other member active, if it is warm and connected.
func (m *Member) HandOver() { m.postEvent(role.HandOverRequested{}) }

// TakeOver makes this member active: the user declares that the other machine is dead.
func (m *Member) TakeOver() { m.postEvent(role.TakeOverRequested{}) }

// PassTerm makes a member that holds the Lease write it with a term that is later than the given one, which
// it has found elsewhere. It is used with a Lease only.
func (m *Member) PassTerm(term int64) {
	if term > 0 && term < maxTerm {
		m.postEvent(role.TermFound{Term: uint64(term)})
	}
}

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
