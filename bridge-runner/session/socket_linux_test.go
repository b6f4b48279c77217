// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"testing"
	"time"
)

func TestOnlyWhatComesOftenWaitsForMore(t *testing.T) {
	var w wakes
	now := time.Now()
	for _, tc := range []struct {
		name  string
		every time.Duration
		want  bool
	}{
		{"1,000 a second", time.Millisecond, false},
		{"2,500 a second", 400 * time.Microsecond, false},
		{"20,000 a second", 50 * time.Microsecond, true},
		{"2,500 a second after that, as when each waits", 400 * time.Microsecond, true},
		{"1,000 a second after that", time.Millisecond, false},
		{"2,500 a second after that", 400 * time.Microsecond, false},
		{"40,000 a second", 25 * time.Microsecond, true},
		{"one after a pause", 5 * time.Millisecond, false},
	} {
		var many bool
		for end := now.Add(2100 * time.Microsecond); now.Before(end); {
			now = now.Add(tc.every)
			many = w.add(now)
		}
		if many != tc.want {
			t.Errorf("%s: many is %t", tc.name, many)
		}
	}
}
