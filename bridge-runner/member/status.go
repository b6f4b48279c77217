// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

// Status is the state of the member for users.
type Status struct {
	// State is the state of this process: Active, Standby and others.
	State role.State `json:"state"`
	// Since is when the process reached the state.
	Since time.Time `json:"since"`
	// Warm is true if the bridges can start at once.
	Warm bool `json:"warm"`
	// Peer is the other member.
	Peer PeerStatus `json:"peer"`
}

// PeerStatus is the state of the other member.
type PeerStatus struct {
	Address   string `json:"address"`
	Connected bool   `json:"connected"`
	// State is the state that the other member has announced. It is empty if it is not connected.
	State role.State `json:"state,omitempty"`
	// Problem is why the latest attempt to connect failed. It is empty if it succeeded.
	Problem string `json:"problem,omitempty"`
}

// Status returns the state of the member.
func (m *Member) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status
}

// updateStatus updates the status after a step.
func (m *Member) updateStatus(before role.State) {
	state := m.machine.State()
	next := m.Status()
	next.State, next.Warm = state, m.machine.Announcement().Warm
	next.Peer.State, next.Peer.Connected = "", len(m.conns) > 0
	for id := range m.conns {
		next.Peer.State = m.machine.Said(id).State
	}
	if state != before {
		next.Since = time.Now()
		m.cfg.Log.Info("the state of this member has changed", "from", string(before), "to", string(state))
	}
	m.mu.Lock()
	changed := m.status != next
	m.status = next
	m.mu.Unlock()
	if changed {
		m.cfg.OnChange(next)
	}
}

// Cause is why a member has become active.
type Cause string

// Causes, the values of the label cause of a metric.
const (
	// Started means that no other member was active.
	Started Cause = "Started"
	// HandedOver means that the active member has handed over.
	HandedOver Cause = "HandedOver"
	// PeerEnded means that it is proven that the process of the active member has ended.
	PeerEnded Cause = "PeerEnded"
	// TimedOut means that the other member could not be reached for --peer-timeout.
	TimedOut Cause = "TimedOut"
	// ByHand means that a user has made the member active.
	ByHand Cause = "ByHand"
	// Confirmed means that the member was active before, and that no other member has become active.
	Confirmed Cause = "Confirmed"
)

// Causes are all causes.
var Causes = []Cause{Started, HandedOver, PeerEnded, TimedOut, ByHand, Confirmed}

// causeOf returns why an event in a state makes the member active. heardAt is the time of the latest
// message of an active member, zero if there was none.
func causeOf(e role.Event, before role.State, heardAt time.Time) Cause {
	switch e.(type) {
	case role.PeerHandedOver:
		return HandedOver
	case role.TakeOverRequested:
		return ByHand
	}
	switch {
	case before == role.Active, before == role.HandingOver, before == role.SteppedDown:
		return Confirmed
	case heardAt.IsZero():
		return Started
	}
	switch e.(type) {
	case role.DialFailed, role.PeerGoodbye, role.PeerConnected:
		return PeerEnded
	}
	return TimedOut
}

// forwardedUntil returns the time since which no member forwards.
func (m *Member) forwardedUntil(cause Cause) time.Time {
	if (cause == PeerEnded || cause == TimedOut) && !m.heardAt.IsZero() {
		return m.heardAt
	}
	return time.Now()
}
