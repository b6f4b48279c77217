// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"testing"
	"time"
)

// attempts returns the servers that a machine tries when all attempts fail, until its first pause.
func attempts(m *Machine, now time.Time) (tried []int) {
	for {
		action := m.Next(now)
		if action.Connect == noServer {
			return tried
		}
		tried = append(tried, action.Connect)
		m.Failed(action.Connect, false, now)
	}
}

func TestRecall_FirstRound_UsesTheKnowledge(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	recent := now.Add(-time.Second)
	for _, tt := range []struct {
		name  string
		known map[int]Knowledge
		want  []int
	}{
		{"nothing is known", nil, []int{0, 1, 2}},
		{"the primary has failed", map[int]Knowledge{0: {FailedAt: recent}}, []int{1, 2, 0}},
		{"the primary has failed, and a backup is active", map[int]Knowledge{0: {FailedAt: recent}, 2: {Active: true}}, []int{2, 1, 0}},
		{"the primary refuses", map[int]Knowledge{0: {FailedAt: recent, RefusedAt: recent}}, []int{1, 2}},
	} {
		m := New(Config{Servers: 3, RetryInitial: time.Second, RetryMax: time.Minute}, func() float64 { return 0 })
		m.Recall(tt.known)
		if got := attempts(m, now); !slices.Equal(got, tt.want) {
			t.Errorf("%s: tried %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestRecall_ServerIsRequested_ComesFirst(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := New(Config{Servers: 3, RetryInitial: time.Second, RetryMax: time.Minute}, func() float64 { return 0 })
	m.Recall(map[int]Knowledge{2: {Active: true}})
	m.Requested(1, false, now)
	if got := attempts(m, now); !slices.Equal(got, []int{1, 0, 2}) {
		t.Errorf("tried %v", got)
	}
}
