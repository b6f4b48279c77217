// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"slices"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// maxHistory is the number of switches that a side keeps for the runner's page. A flapping server
// replaces the earlier ones.
const maxHistory = 10

// Switch is a change from one server of a side to another.
type Switch struct {
	// Side is local or remote.
	Side string
	v1alpha1.FailoverRecord
}

// Switches returns the last switches of both sides, the latest first. A restart of the bridge in its
// process keeps them.
func (st *State) Switches() []Switch {
	st.mu.Lock()
	defer st.mu.Unlock()
	out := make([]Switch, 0, len(st.Local.history)+len(st.Remote.history))
	for _, r := range st.Local.history {
		out = append(out, Switch{"local", *r})
	}
	for _, r := range st.Remote.history {
		out = append(out, Switch{"remote", *r})
	}
	slices.SortStableFunc(out, func(a, b Switch) int { return cmp.Compare(b.Time.UnixNano(), a.Time.UnixNano()) })
	return out
}

// rememberLocked adds a switch to the history of the side.
func (s *Side) rememberLocked(r *v1alpha1.FailoverRecord) {
	if len(s.history) == maxHistory {
		s.history = slices.Delete(s.history, 0, 1)
	}
	s.history = append(s.history, r)
}
