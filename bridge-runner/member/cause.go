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

// activation describes the activation that an event has led to.
func (m *Member) activation(e role.Event) Activation {
	a := Activation{Cause: m.causeOf(m.machine.Reason()), Since: time.Now(), HeardAt: m.heardAt, From: m.active.Pod}
	switch e := e.(type) {
	case role.PeerHandedOver:
		a.From = e.From.Pod
	default:
		if a.Cause.Takeover() && !m.heardAt.IsZero() {
			a.Since = m.heardAt
			if m.forwardedAt.After(a.Since) {
				a.Since = m.forwardedAt
			}
		}
	}
	return a
}

// causeOf returns the cause of an activation for a reason. If the member has never heard of an active member, it
// has started.
func (m *Member) causeOf(reason role.Reason) Cause {
	switch {
	case reason == role.HandedOver:
		return HandedOver
	case reason == role.ByHand:
		return ByHand
	case reason == role.Confirmed:
		return Confirmed
	case m.heardAt.IsZero():
		return Started
	case reason == role.Acquired:
		return m.store.acquired
	case reason == role.TimedOut:
		return TimedOut
	case reason == role.NoneActive && !m.machine.Dead(m.active):
		return Started
	}
	return PeerEnded // also if another process answers in place of the active one
}
