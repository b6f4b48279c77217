// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"testing"
	"time"
)

// While a user changes the duration, the members have different ones. The successor may use the proof of
// death for its own duration, so that the active member names no other one meanwhile.
func TestNameSuccessor_EarlierOneHasALongerDuration_IsNamedForIt(t *testing.T) {
	s, third := activeScript(t), ID{"c", "1"}
	s.m.Step(PeerHeartbeat{peer, Announcement{State: Standby, Warm: true, Duration: 4 * duration}}, s.now)
	s.m.Step(PeerConnected{third, Announcement{State: Standby, Warm: true, Duration: duration}}, s.now)
	s.m.Step(PeerEnded{peer}, s.now)
	for after, want := range map[time.Duration]ID{8*duration - 1: peer, 8 * duration: third} {
		m := *s.m
		m.Step(Tick{}, s.now.Add(after))
		if got := m.Announcement().Successor; got != want {
			t.Errorf("%s after the end of its connection, the successor is %v", after, got)
		}
	}
}

func TestConfig_Heartbeat_IsShorterThanTheSilenceOfEachDuration(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{
		3 * time.Second: 200 * time.Millisecond, duration: time.Second, time.Minute: time.Second,
	} {
		cfg := Config{Duration: d}
		if got := cfg.Heartbeat(); got != want {
			t.Errorf("duration %s: heartbeats every %s", d, got)
		}
	}
}
