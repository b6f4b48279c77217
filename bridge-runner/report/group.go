// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"reflect"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// maxRunners is the largest number of runners that the status accepts.
const maxRunners = 8

// Group is the knowledge of a runner about its group, if the group has a Lease. Only the runner whose
// claim is written in the Lease reports to Kubernetes, so that the terms order the reports.
type Group struct {
	// Term is the term of the claim that is written in the Lease. It is 0 if there is none.
	Term int64
	// Ended is true if the runner has released the Lease at its end: no other runner could take over. Then
	// it reports its end.
	Ended bool
	// Standbys are the other runners.
	Standbys []v1alpha1.RunnerStatus
}

// SetGroup records the state of the group.
func (st *State) SetGroup(g Group) {
	g.Standbys = g.Standbys[:min(len(g.Standbys), maxRunners-1)]
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.group != nil && reflect.DeepEqual(*st.group, g) {
		return
	}
	if st.group = &g; g.Term > 0 {
		st.runner.Term = &g.Term
	}
	st.signalChange()
}

// SetTakeover records how this runner has become active.
func (st *State) SetTakeover(t *v1alpha1.TakeoverRecord) {
	st.mu.Lock()
	defer st.mu.Unlock()
	t.To = st.runner.Pod
	st.takeover = t
	st.updateReadyLocked(time.Now())
}

// ForgetTakeover forgets how this runner has become active earlier, because another runner was active since.
func (st *State) ForgetTakeover() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.takeover = nil
	st.signalChange()
}

// runnersLocked returns the entries of the runners, this one first.
func (st *State) runnersLocked() []v1alpha1.RunnerStatus {
	own := *st.runner.DeepCopy()
	if own.Role != v1alpha1.RunnerActive {
		own.Term = nil
	}
	out := []v1alpha1.RunnerStatus{own}
	if st.group != nil && st.group.Term > 0 {
		for i := range st.group.Standbys {
			out = append(out, *st.group.Standbys[i].DeepCopy())
		}
	}
	return out
}

// report returns the status to report. ok is false if another runner reports.
func (st *State) report() (status v1alpha1.MQTTBridgeStatus, ok bool) {
	status = st.Status()
	st.mu.Lock()
	defer st.mu.Unlock()
	return status, st.group == nil || st.group.Term > 0 && status.Runners[0].Role == v1alpha1.RunnerActive
}

// lastReport returns the status to report at the end of the process. ok is false if another runner may
// have taken over.
func (st *State) lastReport() (status v1alpha1.MQTTBridgeStatus, ok bool) {
	status = st.Status()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.group == nil {
		return status, true
	}
	status.Runners[0].Role, status.Runners[0].Term = v1alpha1.RunnerActive, st.runner.Term
	return status, st.group.Ended
}
