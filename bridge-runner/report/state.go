// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package report tells the world what a runner does: by its status, its metrics
// and, in a cluster, by the status of its MQTTBridge.
//
// It promises that a status changes on transitions only, never with time alone,
// that a report to Kubernetes never holds up the data path, and that a switch is
// reported at once, but a flapping server at most once a second.
package report

import (
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// State is what a runner sees of both sides.
type State struct {
	Local, Remote *Side

	start   metav1.Time
	pod     string
	changed chan struct{} // holds one token while there is something unreported

	mu     sync.Mutex // guards what follows, and the sides
	ready  metav1.Condition
	buffer *v1alpha1.BufferStatus // nil: there is no disk

	unforwardable v1alpha1.UnforwardableStatus
	deadLetter    string // their topic; empty: there are none
}

// NewState returns the state of a bridge before its first attempt. pod is the name
// of the runner's pod, empty outside of a cluster.
func NewState(bridge *v1alpha1.MQTTBridge, pod string, metrics *Metrics) *State {
	st := &State{start: metav1.Now(), pod: pod, changed: make(chan struct{}, 1)}
	st.Local = newSide(st, bridge.Spec.Local.Servers(), metrics.side("local"))
	st.Remote = newSide(st, bridge.Spec.Remote.Servers(), metrics.side("remote"))
	if d := bridge.Spec.Delivery; d != nil && d.Unforwardable != nil && d.Unforwardable.DeadLetter != nil {
		st.deadLetter = d.Unforwardable.DeadLetter.Topic
	}
	metrics.state = st
	st.transition(st.start.Time) // that there is a runner is news
	return st
}

// Changed receives after the state has changed.
func (st *State) Changed() <-chan struct{} { return st.changed }

// transition notes that a side has changed. The caller holds the lock.
func (st *State) transition(at time.Time) {
	ready := v1alpha1.Forwarding(&st.Local.status, &st.Remote.status)
	ready.LastTransitionTime = st.ready.LastTransitionTime
	if ready.Status != st.ready.Status {
		ready.LastTransitionTime = metav1.NewTime(at)
	}
	st.ready = ready
	st.notify()
}

func (st *State) notify() {
	select {
	case st.changed <- struct{}{}:
	default:
	}
}

// Status returns what the runner owns of the bridge's status.
func (st *State) Status() v1alpha1.MQTTBridgeStatus {
	st.mu.Lock()
	defer st.mu.Unlock()
	return v1alpha1.MQTTBridgeStatus{
		Conditions: []metav1.Condition{st.ready},
		Runner:     &v1alpha1.RunnerStatus{Pod: st.pod, StartTime: st.start},
		Local:      st.Local.status.DeepCopy(),
		Remote:     st.Remote.status.DeepCopy(),
		Buffer:     st.buffer.DeepCopy(),

		Unforwardable: st.unforwardableStatus(),
	}
}

// Side observes one side. It implements connector.Observer.
type Side struct {
	state   *State
	metrics sideMetrics
	status  v1alpha1.SideStatus
	// shortfalls are those of each server when it was last connected.
	shortfalls map[int][]v1alpha1.Shortfall

	// The server that was in use before, why and when it was lost.
	lost       int
	lostReason string
	lostAt     time.Time
}

// never is the place of no server.
const never = -1

func newSide(st *State, servers []v1alpha1.Server, metrics sideMetrics) *Side {
	s := &Side{state: st, metrics: metrics, shortfalls: map[int][]v1alpha1.Shortfall{}, lost: never}
	for i := range servers {
		s.status.Servers = append(s.status.Servers, v1alpha1.ServerStatus{
			Name: servers[i].Name, URL: v1alpha1.PublicURL(servers[i].URL), State: v1alpha1.ServerStandby, Since: st.start,
		})
	}
	metrics.init(s.status.Servers)
	return s
}

// Connected implements connector.Observer.
func (s *Side) Connected(server int, at time.Time) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.setActive(server, at)
	if s.lost != never {
		gap := at.Sub(s.lostAt)
		s.metrics.switchDuration.Observe(gap.Seconds())
		if s.lost != server {
			s.failedOver(s.record(s.lost, server, s.lostReason, at, gap))
		}
	}
	s.state.transition(at)
}

// Switched implements connector.Observer.
func (s *Side) Switched(server int, how connector.Switch, at time.Time) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	left := slices.IndexFunc(s.status.Servers, func(e v1alpha1.ServerStatus) bool { return e.State == v1alpha1.ServerActive })
	e := &s.status.Servers[left]
	e.State, e.Since = v1alpha1.ServerStandby, metav1.NewTime(at)
	s.metrics.disconnected(e.Name)
	s.setActive(server, at)
	s.metrics.switchDuration.Observe(how.Gap.Seconds())
	r := s.record(left, server, how.Reason, at, how.Gap)
	r.Drained, r.Resent = ptr.To(int64(how.Drained)), ptr.To(int64(how.Resent))
	s.failedOver(r)
	s.state.transition(at)
}

func (s *Side) setActive(server int, at time.Time) {
	e := &s.status.Servers[server]
	e.State, e.Since, e.LastError = v1alpha1.ServerActive, metav1.NewTime(at), nil
	s.status.Active = &v1alpha1.ActiveServer{Name: e.Name, URL: e.URL, Role: v1alpha1.Role(server), Since: metav1.NewTime(at)}
	s.status.Shortfalls = s.shortfalls[server]
	s.metrics.connected(e.Name)
}

// FellShort implements connector.Observer. It is reported with the connection that follows.
func (s *Side) FellShort(server int, shortfalls []session.Shortfall) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.shortfalls[server] = nil
	for _, short := range shortfalls {
		s.shortfalls[server] = append(s.shortfalls[server], v1alpha1.Shortfall{Reason: short.Reason, Message: truncate(short.Message, maxMessage)})
	}
}

func (s *Side) record(from, to int, reason string, at time.Time, gap time.Duration) *v1alpha1.FailoverRecord {
	return &v1alpha1.FailoverRecord{
		From:                 s.status.Servers[from].Name,
		To:                   s.status.Servers[to].Name,
		Reason:               reason,
		Time:                 metav1.NewMicroTime(at),
		DurationMilliseconds: ptr.To(gap.Milliseconds()),
	}
}

func (s *Side) failedOver(r *v1alpha1.FailoverRecord) {
	s.status.Failovers = ptr.To(ptr.Deref(s.status.Failovers, 0) + 1)
	s.status.LastFailover = r
	s.metrics.failovers.WithLabelValues(r.Reason).Inc()
}

// Requested implements connector.Observer.
func (s *Side) Requested(r *v1alpha1.RequestedSwitch) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if r != nil {
		r.Request, r.Message = truncate(r.Request, maxRequest), truncate(r.Message, maxMessage)
	}
	s.status.RequestedSwitch = r
	s.state.transition(time.Now())
}

// Probed implements connector.Observer. That a server passes or fails once more, for the
// same reason, is no change.
func (s *Side) Probed(server int, err *session.Error, at time.Time) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	e := &s.status.Servers[server]
	result := "passed"
	if err != nil {
		result = err.Reason
	}
	s.metrics.probes.WithLabelValues(e.Name, result).Inc()
	switch {
	case err != nil:
		s.setFailed(server, err, at)
	case e.State == v1alpha1.ServerFailed:
		e.State, e.Since, e.LastError = v1alpha1.ServerStandby, metav1.NewTime(at), nil
		s.state.transition(at)
	}
}

// Lost implements connector.Observer.
func (s *Side) Lost(server int, err *session.Error, at time.Time) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.lost, s.lostReason, s.lostAt = server, err.Reason, at
	s.status.Active, s.status.Shortfalls = nil, nil
	s.metrics.disconnected(s.status.Servers[server].Name)
	s.setFailed(server, err, at)
}

// Failed implements connector.Observer.
func (s *Side) Failed(server int, err *session.Error, at time.Time) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.metrics.attempts.WithLabelValues(s.status.Servers[server].Name, err.Reason).Inc()
	s.setFailed(server, err, at)
}

// Handshake counts a TLS handshake with a server that succeeded.
func (s *Side) Handshake(server int, h transport.Handshake) {
	s.metrics.handshake(s.status.Servers[server].Name, h) // a server's name never changes
}

// setFailed notes why a server failed. That it failed once more for the same
// reason is no change.
func (s *Side) setFailed(server int, err *session.Error, at time.Time) {
	e := &s.status.Servers[server]
	cause := v1alpha1.ServerError{Reason: err.Reason, Message: truncate(err.Message, maxMessage)}
	if e.State == v1alpha1.ServerFailed && e.LastError != nil && *e.LastError == cause {
		return
	}
	if e.State != v1alpha1.ServerFailed {
		e.State, e.Since = v1alpha1.ServerFailed, metav1.NewTime(at)
	}
	e.LastError = &cause
	s.state.transition(at)
}

// The longest texts in bytes that the schema takes.
const (
	maxMessage = 512
	maxRequest = 256
)

func truncate(s string, most int) string {
	if len(s) <= most {
		return s
	}
	const more = "..."
	cut := most - len(more)
	for cut > 0 && s[cut]&0xC0 == 0x80 { // not within a character
		cut--
	}
	return s[:cut] + more
}
