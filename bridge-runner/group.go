// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/member"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// Causes of the end of an activation.
var (
	// errDeactivated: another member may be active, so that the bridges end without a drain.
	errDeactivated = errors.New("this runner is not active any more")
	// errHandOver: the bridges drain, and the standby continues the work.
	errHandOver = errors.New("this runner hands over")
	// errNoStandby: the bridges drain at the end of the process.
	errNoStandby = errors.New("this runner ends")
)

// group makes the bridges of this process forward while the process is the active member of its
// group. It implements member.Bridges.
//
// Lock order: reporting, then mu, then the lock of a gate or of the metrics. The methods of the member
// are called without mu. The goroutine of the member does not take reporting.
type group struct {
	member  *member.Member
	metrics *report.MemberMetrics
	log     *slog.Logger
	// state is the state of the bridge of this process, if the group has a Lease. Otherwise it is nil.
	state *report.State

	// reporting is held while the member receives whether it is warm, so that the latest report counts.
	reporting sync.Mutex

	mu sync.Mutex
	// current is nil if this process is not active.
	current *activation
	// changed is closed, and replaced, when current changes.
	changed chan struct{}
	// seats are the places of the bridges of the process. A bridge that drains and its next version may
	// have the same name. mu guards forwarding, warm, versions and latest of each seat.
	seats map[*seat]bool
	// complete is true when all bridges of the start are in seats.
	complete bool
	// takeovers are the last activations in which this process has replaced another active one, the
	// latest at the end.
	takeovers []takeover
}

// activation is a time in which this process is active.
type activation struct {
	// ctx ends with errDeactivated or errHandOver.
	ctx    context.Context
	cancel context.CancelCauseFunc
	member.Activation
	// at is when it began.
	at time.Time
	// running is the number of bridges. drained is called when it becomes 0. It is nil before and after the
	// drain. slow calls drained, too, if no bridge has ended for slowDrain since the latest one. It is nil
	// while no bridge has ended since the drain began, and if no standby waits. The lock of the group guards
	// these fields.
	running int
	drained func()
	slow    *time.Timer
}

// slowDrain is the time for which the bridges that have drained wait for the other bridges at a hand-over. They
// forward nothing meanwhile. The bridges that have not drained then end without it: their sources keep the
// messages of QoS 1 and 2.
const slowDrain = time.Second

// sawEnd reports whether this process was connected to the active member until its end: then its knowledge
// is the latest. It does not depend on the time: many bridges need a while to begin.
func (a *activation) sawEnd() bool {
	return a.Cause == member.PeerEnded && a.at.Sub(a.HeardAt) < time.Second
}

func newGroup(metrics *report.MemberMetrics, log *slog.Logger) *group {
	return &group{metrics: metrics, log: log, changed: make(chan struct{}), seats: map[*seat]bool{}}
}

// Activate implements member.Bridges.
func (g *group) Activate(began member.Activation) {
	g.log.Info("this runner is active and forwards", "cause", began.Cause)
	g.metrics.Activated(string(began.Cause))
	if g.state != nil && began.Cause.Takeover() {
		g.state.ForgetTakeover() // otherwise the first report would have the one before
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	a := &activation{Activation: began, at: time.Now()}
	a.ctx, a.cancel = context.WithCancelCause(context.Background())
	g.setLocked(a)
	go g.reportWarm() // the member, which waits for this call, may receive it only afterwards
}

func (g *group) setLocked(a *activation) {
	g.current = a
	close(g.changed)
	g.changed = make(chan struct{})
}

// Deactivate implements member.Bridges.
func (g *group) Deactivate() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.current != nil {
		g.current.cancel(errDeactivated)
		g.setLocked(nil)
	}
	for s := range g.seats {
		for gate := range s.forwarding {
			gate.Close()
		}
	}
}

// Suspend implements member.Bridges.
func (g *group) Suspend(bridge string) {
	for gate := range g.gatesOf(bridge) {
		gate.Close()
	}
}

// Resume implements member.Bridges. A version of an earlier activation remains closed.
func (g *group) Resume(bridge string) {
	for gate, ended := range g.gatesOf(bridge) {
		if !ended {
			gate.Open()
		}
	}
}

// gatesOf returns the gates of the bridges with a name that forward, and whether the activation of each has
// ended.
func (g *group) gatesOf(bridge string) map[*session.Gate]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	gates := map[*session.Gate]bool{}
	for s := range g.seats {
		if s.name == bridge {
			for gate, a := range s.forwarding {
				gates[gate] = a != g.current
			}
		}
	}
	return gates
}

// Drain implements member.Bridges.
func (g *group) Drain(done func()) {
	g.log.Info("this runner drains its bridges, to hand over")
	cause := errNoStandby
	if g.member.Status().Peer.Connected {
		cause = errHandOver
	} else if g.state != nil {
		g.state.Stopping() // the status says so before the drain
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.current
	if a == nil {
		go done()
		return
	}
	a.cancel(cause)
	a.drained = done
	if a.running == 0 {
		a.reportLocked()
	}
}

// reportLocked reports the end of a drain.
func (a *activation) reportLocked() {
	if a.drained != nil {
		go a.drained() // it may wait for the caller
		a.drained = nil
	}
}

// awaitOthersLocked begins the wait of a bridge that has drained for the others again.
func (g *group) awaitOthersLocked(a *activation) {
	switch {
	case a.drained == nil || !errors.Is(context.Cause(a.ctx), errHandOver):
	case a.slow != nil:
		a.slow.Reset(slowDrain)
	default:
		a.slow = time.AfterFunc(slowDrain, func() { g.endSlowDrain(a) })
	}
}

// endSlowDrain ends a drain although bridges have not drained yet.
func (g *group) endSlowDrain(a *activation) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.drained == nil {
		return
	}
	g.log.Warn("this runner hands over before all bridges have drained, because the others wait; the sources keep the messages of QoS 1 and 2, and some may arrive twice", "bridges", a.running)
	a.reportLocked()
}

// seat is the place of a bridge in the group.
type seat struct {
	group *group
	name  string
	// forwarding are the gates of the versions of the bridge that forward, each with its activation. A version
	// forwards in one activation only: its attempts to connect cannot use the sessions of the next one.
	forwarding map[*session.Gate]*activation
	// warm is true if the present version of the bridge can start at once, see startsAtOnce. versions is the
	// number of versions before it.
	warm     bool
	versions int
	// recalled is the knowledge of another member that an earlier activation has begun with. It is obsolete,
	// because this process has been active since. It is nil if there is none.
	recalled *peer.Knowledge
	// latest is the activation whose gap is measured or needs no measurement: the bridge was added or
	// has started again in it.
	latest *activation
}

// add adds a bridge. A process without a group has a nil group, and nil seats.
func (g *group) add(name string) *seat {
	if g == nil {
		return nil
	}
	s := &seat{group: g, name: name, forwarding: map[*session.Gate]*activation{}}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seats[s] = true
	s.latest = g.current
	return s
}

// remove removes a bridge that has ended permanently.
func (s *seat) remove() {
	if s == nil {
		return
	}
	s.unseat()
	s.group.reportWarm()
}

func (s *seat) unseat() {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	delete(s.group.seats, s)
}

// allAdded records that the bridges of the start are added.
func (g *group) allAdded() {
	if g == nil {
		return
	}
	g.mu.Lock()
	g.complete = true
	g.mu.Unlock()
	g.reportWarm()
}

// reportWarm reports to the member whether all bridges can start at once.
func (g *group) reportWarm() {
	g.reporting.Lock()
	defer g.reporting.Unlock()
	g.mu.Lock()
	warm := g.complete
	for s := range g.seats {
		warm = warm && (s.warm || g.current != nil)
	}
	g.mu.Unlock()
	g.member.SetWarm(warm)
}

// newGate returns the gate of a new version of the bridge, which is closed; nil if there is no group.
func (s *seat) newGate() *session.Gate {
	if s == nil {
		return nil
	}
	return &session.Gate{
		Permit: func(ctx context.Context) error { return s.group.member.Permit(ctx, s.name) },
		Frozen: s.group.member.Frozen,
	}
}

// join adds a version of a bridge, which forwards, to the activation, and opens its gate. It returns nil if this
// process is not active; the channel is closed when that may have changed.
func (s *seat) join(gate *session.Gate) (current *activation, changed <-chan struct{}) {
	g := s.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if a := g.current; a != nil && a.ctx.Err() == nil {
		a.running++
		s.forwarding[gate] = a
		gate.Open()
		return a, g.changed
	}
	return nil, g.changed
}

// leave removes a version of a bridge that has ended.
func (s *seat) leave(a *activation, gate *session.Gate) {
	g := s.group
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(s.forwarding, gate)
	a.running--
	if a.running > 0 {
		g.awaitOthersLocked(a)
		return
	}
	a.reportLocked()
}

// sessionEnded reports a session that has not been ended by this process.
func (s *seat) sessionEnded(ended *session.Session) {
	if s == nil {
		return
	}
	if err := ended.Err(); err != nil && !session.IsNotPermitted(err) {
		s.group.member.SessionEnded(s.name, ended.Ending().Code == session.CodeSessionTakenOver)
	}
}

// beginActivation reports whether the bridge begins to forward for the first time in an activation.
func (s *seat) beginActivation(a *activation) bool {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	first := s.latest != a
	s.latest = a
	return first
}

// recalls returns the knowledge with which an activation begins: the knowledge of the member that was active
// before, or nil if that was this process.
func (s *seat) recalls(k *peer.Knowledge) *peer.Knowledge {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	if k == s.recalled {
		return nil
	}
	s.recalled = k
	return k
}

// forwarded records that the bridge forwards for the first time in an activation.
func (s *seat) forwarded(a *activation) {
	gap := time.Since(a.Since)
	s.group.metrics.Forwards(string(a.Cause), gap)
	s.group.reportTakeover(a, gap)
	s.group.rememberTakeover(a, gap)
	namespace, name, _ := strings.Cut(s.name, "/")
	s.group.log.Info("the bridge forwards after the change of the active runner", "namespace", namespace, "bridge", name, "cause", a.Cause, "gap", gap.Round(time.Millisecond/10))
}

// active reports whether this process is active.
func (s *seat) active() bool {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	return s.group.current != nil
}

// isCurrent reports whether a is the present activation. It is false for nil.
func (s *seat) isCurrent(a *activation) bool {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	return a != nil && s.group.current == a
}
