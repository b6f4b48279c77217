// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
)

// SetDeletion records the progress of the deletion of the bridge. It copies d.
func (st *State) SetDeletion(d *v1alpha1.DeletionStatus) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.deletion = d.DeepCopy()
	st.updateReadyLocked(time.Now())
}

// Disconnected records that the runner has closed its connections, although it does not stop.
func (st *State) Disconnected() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.Local.disconnectedLocked()
	st.Remote.disconnectedLocked()
	st.updateReadyLocked(time.Now())
}

// Message returns the message of a problem, cut to the length that the status accepts.
func Message(why *diagnosis.Problem) string { return truncate(why.Message, maxMessage) }
