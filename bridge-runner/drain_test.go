// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

func TestQuiet_Observations_NeedAnswersAndSilence(t *testing.T) {
	one, other := &session.Session{}, &session.Session{}
	idle := observation{sessions: []*session.Session{one}, received: 7, delivered: true, released: true}
	with := func(change func(*observation)) observation {
		o := idle
		change(&o)
		return o
	}
	type step struct {
		after    time.Duration // since the start
		seen     observation
		answered bool // whether the server answers the ping
		want     bool
	}
	for name, steps := range map[string][]step{
		"answered and silent":     {{0, idle, true, false}, {quietTime / 2, idle, true, false}, {quietTime, idle, true, true}},
		"not answered":            {{0, idle, false, false}, {quietTime, idle, false, false}, {quietLimit, idle, false, true}},
		"another message arrives": {{0, idle, true, false}, {quietTime, with(func(o *observation) { o.received++ }), true, false}, {quietTime + 1, with(func(o *observation) { o.received++ }), true, false}},
		"another connection":      {{0, idle, true, false}, {quietTime, with(func(o *observation) { o.sessions = []*session.Session{other} }), true, false}},
		"connection lost":         {{0, idle, true, false}, {1, with(func(o *observation) { o.sessions = []*session.Session{nil} }), true, false}, {quietTime, idle, true, false}},
		"not delivered":           {{0, idle, true, false}, {quietTime, with(func(o *observation) { o.delivered = false }), true, false}, {quietLimit, with(func(o *observation) { o.delivered = false }), true, false}},
		"exchange not complete":   {{0, idle, true, false}, {quietTime, with(func(o *observation) { o.released = false }), true, false}, {quietLimit, with(func(o *observation) { o.released = false }), true, true}},
	} {
		t.Run(name, func(t *testing.T) {
			var q quiet
			start := time.Now()
			for i, s := range steps {
				got := q.observe(start.Add(s.after), s.seen, func(_ *session.Session, answered func()) {
					if s.answered {
						answered()
					}
				})
				if got != s.want {
					t.Errorf("step %d: quiet: %t, want %t", i, got, s.want)
				}
			}
		})
	}
}
