// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// waitInterval is the interval at which a bridge that waits for a roll-out checks again. A
// bridge that has recovered starts the next ones earlier; the interval covers a bridge that
// was started and no longer needed it.
const waitInterval = time.Minute

// fleet coordinates the passes over the bridges during a roll-out. The state of the roll-out is
// in the annotations and labels of the Deployments. The watch of the Deployments keeps members
// and sum up to date, so that the cost of a decision does not depend on the number of bridges.
// The fleet only adds the facts that the watch does not show yet, and the bridges that wait.
type fleet struct {
	mu sync.Mutex // guards the fields below
	// members are the bridges with a Deployment that wants a pod.
	members map[client.ObjectKey]member
	sum     tally // of members
	// granted holds the template hash of each Deployment that a roll-out may change,
	// until the watch shows the change.
	granted map[client.ObjectKey]string
	states  map[client.ObjectKey]rolloutState
	// openings holds the time at which a window opens for each bridge in the state
	// rolloutScheduled.
	openings map[client.ObjectKey]time.Time
}

// setMember replaces a member of the fleet. It is nil if the bridge has no Deployment that
// wants a pod.
func (f *fleet) setMember(bridge client.ObjectKey, m *member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.countLocked(bridge, -1)
	if f.members == nil {
		f.members = map[client.ObjectKey]member{}
	}
	if m == nil || m.template != f.members[bridge].template {
		delete(f.granted, bridge) // the granted change, or a change that replaces it
	}
	delete(f.members, bridge)
	if m != nil {
		f.members[bridge] = *m
	}
	f.countLocked(bridge, 1)
}

// grantLocked permits the change of a Deployment to a pod template. An empty hash takes the
// permission back.
func (f *fleet) grantLocked(bridge client.ObjectKey, template string) {
	f.countLocked(bridge, -1)
	if f.granted == nil {
		f.granted = map[client.ObjectKey]string{}
	}
	delete(f.granted, bridge)
	if template != "" && template != f.members[bridge].template {
		f.granted[bridge] = template
	}
	f.countLocked(bridge, 1)
}

// countLocked adds a bridge n times to sum.
func (f *fleet) countLocked(bridge client.ObjectKey, n int) {
	m, ok := f.members[bridge]
	if !ok {
		return
	}
	if _, granted := f.granted[bridge]; granted {
		m.recovering = true
	}
	f.sum.add(m, n)
}

// rolloutState is the state of a bridge in a roll-out.
type rolloutState string

const (
	rolloutWaiting    rolloutState = "waiting"
	rolloutRecovering rolloutState = "recovering"
	rolloutScheduled  rolloutState = "scheduled" // waits until a window opens
)

// setState records the state of a bridge. An empty state means that the bridge takes no part
// in a roll-out.
func (f *fleet) setState(bridge client.ObjectKey, state rolloutState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.setStateLocked(bridge, state)
}

func (f *fleet) setStateLocked(bridge client.ObjectKey, state rolloutState) {
	old := f.states[bridge]
	if old == state {
		return
	}
	delete(f.openings, bridge)
	if f.states == nil {
		f.states = map[client.ObjectKey]rolloutState{}
	}
	if old != "" {
		rolloutBridges.WithLabelValues(string(old)).Dec()
		delete(f.states, bridge)
	}
	if state != "" {
		rolloutBridges.WithLabelValues(string(state)).Inc()
		f.states[bridge] = state
	}
}

// retryAfter returns after which time a bridge needs another pass, or 0 if it does not wait.
func (f *fleet) retryAfter(bridge client.ObjectKey, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch f.states[bridge] {
	case rolloutWaiting:
		return waitInterval
	case rolloutScheduled:
		return min(max(f.openings[bridge].Sub(now), time.Second), longestSchedule)
	default:
		return 0
	}
}

// release takes back a permission to change a Deployment that has not been changed.
func (f *fleet) release(bridge client.ObjectKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grantLocked(bridge, "")
}

// admit reports whether a roll-out may replace the pod of the bridge now. If it may not, the
// bridge waits. A bridge that has not recovered from an earlier roll-out never waits: it has
// nothing to lose, and its recovery lets the others continue.
func (f *fleet) admit(bridge client.ObjectKey, template, revision string, recovering bool, maxUnavailable intstr.IntOrString) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !recovering && f.granted[bridge] != template && f.sum.slots(revision, maxUnavailable) == 0 {
		f.setStateLocked(bridge, rolloutWaiting)
		return false
	}
	f.grantLocked(bridge, template)
	f.setStateLocked(bridge, rolloutRecovering)
	return true
}

// isUnproven reports whether bridges recover with the revision, and none works with it yet.
func (f *fleet) isUnproven(revision string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sum.unproven(revision)
}

// takeWaiting returns the first n waiting bridges in the order of their names. They no longer
// count as waiting: their next pass decides again.
func (f *fleet) takeWaiting(n int) []client.ObjectKey {
	f.mu.Lock()
	defer f.mu.Unlock()
	var waiting []client.ObjectKey
	for bridge, state := range f.states {
		if state == rolloutWaiting {
			waiting = append(waiting, bridge)
		}
	}
	slices.SortFunc(waiting, func(a, b client.ObjectKey) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	waiting = waiting[:min(n, len(waiting))]
	for _, bridge := range waiting {
		f.setStateLocked(bridge, "")
	}
	return waiting
}
