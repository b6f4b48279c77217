// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// SetStandby records whether the runner is a standby, which forwards nothing because another runner of
// its group is active.
func (st *State) SetStandby(standby bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.standby == standby {
		return
	}
	st.standby = standby
	st.runner.Role, st.runner.Since = v1alpha1.RunnerActive, metav1.Now()
	if standby {
		st.runner.Role = v1alpha1.RunnerStandby
	}
	st.updateReadyLocked(st.runner.Since.Time)
}
