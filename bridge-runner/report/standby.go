// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import "time"

// SetStandby records whether the runner is a standby, which forwards nothing because another runner of
// its group is active.
func (st *State) SetStandby(standby bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.standby != standby {
		st.standby = standby
		st.updateReadyLocked(time.Now())
	}
}
