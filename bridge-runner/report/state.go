// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package report publishes the state of a runner: as a status, as metrics, as log lines and,
// in a cluster, in the status of its MQTTBridge.
//
// It promises that the status changes only on transitions and not only because time passes,
// that a report to Kubernetes never delays the forwarding of messages, and that a switch is
// reported at once, but a flapping server at most once per second.
//
// Lock order: the lock of a pipe (package delivery), then a lock of this package. No code
// holds two locks of this package.
package report

import (
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// State is the state of a runner: both sides, the buffers and the unforwardable messages.
type State struct {
	Local, Remote *Side

	start   metav1.Time
	changed chan struct{} // holds a token while a change is unreported

	mu     sync.Mutex // guards the fields below and the fields of the sides
	runner v1alpha1.RunnerStatus
	ready  metav1.Condition
	buffer *v1alpha1.BufferStatus // nil: there is no buffer on disk
	// deletion is the progress of the deletion of the bridge. It is nil if there is none.
	deletion *v1alpha1.DeletionStatus
	// standby is true if another runner of the group forwards.
	standby bool
	// group is nil if the runner is no member of a group with a Lease.
	group *Group
	// takeover is nil if this runner has not replaced another active runner.
	takeover *v1alpha1.TakeoverRecord

	unforwardable v1alpha1.UnforwardableStatus
}

// NewState returns the state of a bridge before its first attempt. runner identifies the
// process and its pod.
func NewState(bridge *v1alpha1.MQTTBridge, runner v1alpha1.RunnerStatus, metrics *Metrics) *State {
	st := &State{start: metav1.Now(), runner: runner, changed: make(chan struct{}, 1)}
	st.runner.StartTime, st.runner.Generation = st.start, bridge.Generation
	st.runner.Role, st.runner.Since = v1alpha1.RunnerActive, st.start
	st.Local = newSide(st, bridge.Spec.Local.Servers(), metrics.side("local"))
	st.Remote = newSide(st, bridge.Spec.Remote.Servers(), metrics.side("remote"))
	st.Local.status.ClientID, st.Remote.status.ClientID = bridge.Spec.Local.ClientID, bridge.Spec.Remote.ClientID
	metrics.state = st
	st.updateReadyLocked(st.start.Time) // the start of the runner is a change; no other goroutine uses st yet
	return st
}

// Changed returns a channel that receives a value after the state has changed.
func (st *State) Changed() <-chan struct{} { return st.changed }

// updateReadyLocked updates the condition Ready after a side has changed, and signals the
// change.
func (st *State) updateReadyLocked(at time.Time) {
	ready := v1alpha1.ReadyCondition(&st.runner, &st.Local.status, &st.Remote.status)
	if st.deletion != nil && st.runner.StopTime.IsZero() {
		ready = v1alpha1.DeletingCondition(st.runner.Generation, st.deletion)
	}
	if st.standby && st.runner.StopTime.IsZero() {
		ready = v1alpha1.StandbyCondition(st.runner.Generation)
	}
	ready.LastTransitionTime = st.ready.LastTransitionTime
	if ready.Status != st.ready.Status {
		ready.LastTransitionTime = metav1.NewTime(at)
	}
	st.ready = ready
	st.signalChange()
}

// signalChange makes Changed receive. It needs no lock.
func (st *State) signalChange() {
	select {
	case st.changed <- struct{}{}:
	default:
	}
}

// Status returns the part of the bridge's status that the runner owns.
func (st *State) Status() v1alpha1.MQTTBridgeStatus {
	st.mu.Lock()
	defer st.mu.Unlock()
	return v1alpha1.MQTTBridgeStatus{
		Conditions: []metav1.Condition{st.ready},
		Runners:    st.runnersLocked(),
		Local:      st.Local.statusLocked(),
		Remote:     st.Remote.statusLocked(),
		Buffer:     st.buffer.DeepCopy(),
		Deletion:   st.deletion.DeepCopy(),

		LastTakeover:  st.takeover.DeepCopy(),
		Unforwardable: st.unforwardableStatusLocked(),
	}
}

// Ready returns the condition Ready.
func (st *State) Ready() metav1.Condition {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.ready
}

// SetGeneration records that the runner runs the manifest of this generation, which replaces a
// refused manifest of an earlier generation.
func (st *State) SetGeneration(generation int64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.runner.Generation == generation {
		return
	}
	st.runner.Generation = generation
	if r := st.runner.Refused; r != nil && r.Generation < generation {
		st.runner.Refused = nil
	}
	st.updateReadyLocked(time.Now())
}

// Stopping records that the runner accepts no more messages, because it stops.
func (st *State) Stopping() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.runner.StopTime.IsZero() {
		st.runner.StopTime = metav1.Now()
		st.updateReadyLocked(st.runner.StopTime.Time)
	}
}

// Stopped records that the runner has closed its connections.
func (st *State) Stopped() {
	st.Stopping()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.Local.disconnectedLocked()
	st.Remote.disconnectedLocked()
	st.signalChange()
}

// Side observes one side. It implements connector.Observer.
type Side struct {
	state   *State
	metrics sideMetrics
	status  v1alpha1.SideStatus
	// shortfalls holds the shortfalls of each server, by its index, at its latest
	// connection.
	shortfalls map[int][]v1alpha1.Shortfall

	// lostServer is the name of the server that was active last and was lost. It is empty if
	// none was. lostReason and lostAt are the reason and the time of the loss, and silent is
	// the time for which the server had not answered before it.
	lostServer string
	lostReason string
	lostAt     time.Time
	silent     time.Duration

	// history has the last switches, the latest at the end, see [State.Switches].
	history []*v1alpha1.FailoverRecord
}

// noServer is the index that stands for no server.
const noServer = -1

func newSide(st *State, servers []v1alpha1.Server, metrics sideMetrics) *Side {
	s := &Side{state: st, metrics: metrics, shortfalls: map[int][]v1alpha1.Shortfall{}}
	s.status.Switches = ptr.To[int64](0)
	for i := range servers {
		s.status.Servers = append(s.status.Servers, standbyServer(servers[i].Name, v1alpha1.PublicURL(servers[i].URL), st.start))
	}
	metrics.init(s.status.Servers)
	return s
}

// Connected implements connector.Observer.
func (s *Side) Connected(server int, at time.Time) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.setActiveLocked(server, at)
	if s.lostServer != "" {
		gap := at.Sub(s.lostAt)
		s.metrics.switchDuration.Observe(gap.Seconds())
		if s.lostServer != s.status.Servers[server].Name {
			r := s.failoverLocked(s.lostServer, server, s.lostReason, at, gap)
			r.SilentMilliseconds = ptr.To(s.silent.Milliseconds())
			s.recordFailoverLocked(r)
		}
	}
	s.state.updateReadyLocked(at)
}

// Switched implements connector.Observer.
func (s *Side) Switched(server int, how connector.Switch, at time.Time) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	e := &s.status.Servers[s.activeIndexLocked()]
	e.State, e.Since = v1alpha1.ServerStandby, metav1.NewTime(at)
	s.metrics.disconnected(e.Name)
	s.setActiveLocked(server, at)
	s.metrics.switchDuration.Observe(how.Interruption.Seconds())
	r := s.failoverLocked(e.Name, server, how.Reason, at, how.Interruption)
	r.Drained, r.Resent = ptr.To(int64(how.Drained)), ptr.To(int64(how.Resent))
	s.recordFailoverLocked(r)
	s.state.updateReadyLocked(at)
}

func (s *Side) setActiveLocked(server int, at time.Time) {
	e := &s.status.Servers[server]
	e.State, e.Since, e.LastError = v1alpha1.ServerActive, metav1.NewTime(at), nil
	role, place := placeOf(server)
	s.status.Active = &v1alpha1.ActiveServer{Name: e.Name, URL: e.URL, Role: role, Place: place, Since: metav1.NewTime(at)}
	s.status.Shortfalls = s.shortfalls[server]
	s.metrics.connected(e.Name)
	s.metrics.setUp(e.Name, true)
}

// disconnectedLocked records that the runner has closed the connection to the server in use.
func (s *Side) disconnectedLocked() {
	if s.status.Active == nil {
		return
	}
	for i := range s.status.Servers {
		if e := &s.status.Servers[i]; e.State == v1alpha1.ServerActive {
			e.State, e.Since = v1alpha1.ServerStandby, metav1.Now()
			s.metrics.disconnected(e.Name)
		}
	}
	s.status.Active, s.status.Shortfalls = nil, nil
}

// ShortfallsFound implements connector.Observer. The shortfalls are reported while the server is
// active.
func (s *Side) ShortfallsFound(server int, shortfalls []diagnosis.Problem) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.shortfalls[server] = nil
	for _, short := range shortfalls {
		s.shortfalls[server] = append(s.shortfalls[server], v1alpha1.Shortfall{Reason: short.Reason, Message: truncate(short.Message, maxMessage)})
	}
	if server == s.activeIndexLocked() && !slices.Equal(s.status.Shortfalls, s.shortfalls[server]) {
		s.status.Shortfalls = s.shortfalls[server]
		s.state.updateReadyLocked(time.Now())
	}
}

// ClientIDUsed implements connector.Observer.
func (s *Side) ClientIDUsed(clientID string) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if s.status.ClientID != clientID {
		s.status.ClientID = clientID
		s.state.updateReadyLocked(time.Now())
	}
}

// failoverLocked returns the record of a change from one server to another.
func (s *Side) failoverLocked(from string, to int, reason string, at time.Time, gap time.Duration) *v1alpha1.FailoverRecord {
	return &v1alpha1.FailoverRecord{
		From:                 from,
		To:                   s.status.Servers[to].Name,
		Reason:               reason,
		Time:                 metav1.NewMicroTime(at),
		DurationMilliseconds: ptr.To(gap.Milliseconds()),
	}
}

func (s *Side) recordFailoverLocked(r *v1alpha1.FailoverRecord) {
	s.status.Switches = ptr.To(*s.status.Switches + 1)
	s.status.LastFailover = r
	s.rememberLocked(r)
	s.metrics.switches.with(r.Reason).inc()
}

// Requested implements connector.Observer.
func (s *Side) Requested(r *v1alpha1.RequestedSwitch) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if r != nil {
		r.Message = truncate(r.Message, maxMessage)
	}
	s.status.RequestedSwitch = r
	s.state.updateReadyLocked(time.Now())
}

// Probed implements connector.Observer. If a server passes again, or fails again for the same
// reason, the status does not change.
func (s *Side) Probed(server int, why *diagnosis.Problem, at time.Time) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	e := &s.status.Servers[server]
	result := probePassed
	if why != nil {
		result = why.Reason
	} else {
		s.metrics.setUp(e.Name, true)
	}
	s.metrics.probes.with(e.Name, result).inc()
	switch {
	case why != nil:
		s.setFailedLocked(server, why, at)
	case e.State == v1alpha1.ServerFailed:
		e.State, e.Since, e.LastError = v1alpha1.ServerStandby, metav1.NewTime(at), nil
		s.state.updateReadyLocked(at)
	}
}

// Lost implements connector.Observer.
func (s *Side) Lost(server int, why *diagnosis.Problem, silent time.Duration, at time.Time) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.lostServer, s.lostReason, s.lostAt, s.silent = s.status.Servers[server].Name, why.Reason, at, silent
	s.metrics.silence.Observe(silent.Seconds())
	s.status.Active, s.status.Shortfalls = nil, nil
	s.metrics.disconnected(s.status.Servers[server].Name)
	s.setFailedLocked(server, why, at)
}

// Failed implements connector.Observer.
func (s *Side) Failed(server int, why *diagnosis.Problem, at time.Time) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.metrics.connectionFailures.with(s.status.Servers[server].Name, why.Reason).inc()
	s.setFailedLocked(server, why, at)
}

// Handshake counts a successful TLS handshake with the server of this name. It ignores a server
// that was removed meanwhile.
func (s *Side) Handshake(server string, h transport.Handshake) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if s.listedLocked(server) {
		s.metrics.handshake(server, h)
	}
}

// setFailedLocked records the failure of a server. A further failure with the same reason and
// message does not change the status.
func (s *Side) setFailedLocked(server int, why *diagnosis.Problem, at time.Time) {
	e := &s.status.Servers[server]
	s.metrics.setUp(e.Name, false)
	cause := v1alpha1.ServerError{Reason: why.Reason, Message: truncate(why.Message, maxMessage)}
	if e.State == v1alpha1.ServerFailed && e.LastError != nil && *e.LastError == cause {
		return
	}
	if e.State != v1alpha1.ServerFailed {
		e.State, e.Since = v1alpha1.ServerFailed, metav1.NewTime(at)
	}
	e.LastError = &cause
	s.state.updateReadyLocked(at)
}

// maxMessage is the largest length of a message that the schema allows, in bytes.
const maxMessage = 512

// truncate shortens s to at most limit bytes. A shortened text ends with "...".
func truncate(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const ellipsis = "..."
	cut := limit - len(ellipsis)
	for cut > 0 && s[cut]&0xC0 == 0x80 { // do not cut within a character
		cut--
	}
	return s[:cut] + ellipsis
}
