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
	s.m.Step(PeerEnded{From: peer}, s.now)
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

// The entry of a member that may be the successor stays in the Lease.
func TestGone_MemberHasALongerDuration_ItsEntryIsKeptForIt(t *testing.T) {
	s := activeScript(t)
	s.m.Step(PeerHeartbeat{peer, Announcement{State: Standby, Duration: 4 * duration}}, s.now)
	s.m.Step(PeerEnded{From: peer}, s.now)
	for after, want := range map[time.Duration]bool{16*duration - 1: false, 16 * duration: true} {
		m := *s.m
		m.Step(Tick{}, s.now.Add(after))
		if got := m.Gone(peer); got != want {
			t.Errorf("%s after the end of its connection: %t", after, got)
		}
	}
}

// The permission of a member with a long duration lasts a second.
func TestPromise_ShortDuration_LastsLongerThanEachPermission(t *testing.T) {
	s := standbyFor(t, 3*time.Second, time.Second).does(PeerAsked{peer, 1}, Answer{From: peer, Asked: 1}).does(PeerEnded{From: peer}, Dial{})
	s.record.Holder = ID{}
	s.does(LeaseObserved{Record: s.record})
	s.after(2*time.Second-1).does(Tick{}).after(1).does(Tick{}, Acquire{}, Announce{})
}

func TestAnnouncement_Duration_IsTheMembersOwn(t *testing.T) {
	for _, d := range []time.Duration{duration, time.Minute} {
		if got := standbyFor(t, d, time.Second).m.Announcement().Duration; got != d {
			t.Errorf("a member with %s announces %s", d, got)
		}
	}
}
