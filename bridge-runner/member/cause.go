// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

// Cause is why a member has become active.
type Cause string

// Causes, the values of the label cause of a metric.
const (
	// Started means that no other member was active.
	Started Cause = "Started"
	// HandedOver means that the active member has handed over.
	HandedOver Cause = v1alpha1.TakeoverHandedOver
	// PeerEnded means that it is proven that the process of the active member has ended.
	PeerEnded Cause = v1alpha1.TakeoverPeerEnded
	// LeaseExpired means that the active member has not renewed the Lease.
	LeaseExpired Cause = v1alpha1.TakeoverLeaseExpired
	// LeaseReleased means that the Lease had no holder, although a member was active before.
	LeaseReleased Cause = v1alpha1.TakeoverLeaseReleased
	// TimedOut means that the other member could not be reached for --peer-timeout.
	TimedOut Cause = "TimedOut"
	// ByHand means that a user has made the member active.
	ByHand Cause = "ByHand"
	// Confirmed means that the member was active before, and that no other member has become active.
	Confirmed Cause = "Confirmed"
)

// Causes are all causes.
var Causes = []Cause{Started, HandedOver, PeerEnded, LeaseExpired, LeaseReleased, TimedOut, ByHand, Confirmed}

// Takeover reports whether another member was active before, so that the change is reported.
func (c Cause) Takeover() bool { return c != Started && c != Confirmed }

// activation describes the activation that an event in a state has led to.
func (m *Member) activation(e role.Event, before role.State) Activation {
	a := Activation{Cause: m.causeOf(e, before), Since: time.Now(), From: m.active.Pod}
	switch e := e.(type) {
	case role.PeerHandedOver:
		a.From = e.From.Pod
	default:
		if a.Cause.Takeover() && a.Cause != ByHand && !m.heardAt.IsZero() {
			a.Since = m.heardAt
		}
	}
	return a
}

// causeOf returns why an event in a state makes the member active.
func (m *Member) causeOf(e role.Event, before role.State) Cause {
	switch e.(type) {
	case role.PeerHandedOver:
		return HandedOver
	case role.TakeOverRequested:
		return ByHand
	}
	switch {
	case before == role.Active, before == role.HandingOver, before == role.SteppedDown:
		return Confirmed
	case m.heardAt.IsZero():
		return Started
	}
	switch e := e.(type) {
	case role.DialFailed, role.PeerGoodbye, role.PeerConnected:
		return PeerEnded
	case role.LeaseWritten:
		if e.Result == role.Written {
			return m.store.acquired
		}
	}
	if m.store != nil {
		return PeerEnded // with a Lease, proof is the only other reason
	}
	return TimedOut
}
