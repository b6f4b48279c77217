// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import "testing"

// A hand-over whose message was lost is not repeated after a third member has been active: the receiver would
// trust the sender's knowledge about the sessions, which that member has used since.
func TestHandOver_LostAndAThirdMemberWasActive_IsNotRepeated(t *testing.T) {
	third := ID{"c", "1"}
	for name, wasActive := range map[string]bool{"no other member was active": false, "a third member was active": true} {
		s := activeScript(t)
		s.m.Step(HandOverRequested{}, s.now)
		s.m.Step(Drained{}, s.now)
		s.is(Standby)
		s.m.Step(Warm{false}, s.now)
		s.m.Step(PeerEnded{From: peer}, s.now)
		if wasActive {
			s.m.Step(PeerConnected{third, Announcement{State: Active, Term: Term{7, 0}, Warm: true}}, s.now)
			s.m.Step(PeerGoodbye{third}, s.now)
		}
		repeated := false
		for _, a := range s.m.Step(PeerConnected{peer, Announcement{State: Standby, Warm: true}}, s.now) {
			if _, ok := a.(HandOver); ok {
				repeated = true
			}
		}
		if repeated == wasActive {
			t.Errorf("%s: repeated %t", name, repeated)
		}
	}
}

// The terms of two Leases have no order.
func TestHandOver_LostAndLeaseCreatedAgain_IsNotRepeated(t *testing.T) {
	third := ID{"c", "1"}
	s := activeScript(t)
	s.m.Step(HandOverRequested{}, s.now)
	s.m.Step(Drained{}, s.now)
	s.m.Step(PeerEnded{From: peer}, s.now)
	s.record = Record{UID: "2", Version: "9", Duration: duration, Holder: third, Term: 1, Members: []ID{self, peer, third}}
	s.m.Step(LeaseObserved{Record: s.record}, s.now)
	s.is(Standby)
	for _, a := range s.m.Step(PeerConnected{peer, Announcement{State: Standby, Warm: true}}, s.now) {
		if _, ok := a.(HandOver); ok {
			t.Error("the hand-over is repeated")
		}
	}
}
