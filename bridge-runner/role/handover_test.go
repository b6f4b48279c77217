// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"testing"
	"time"
)

// The message may have arrived although the connection has ended.
func TestHandOver_ConnectionEnds_DoesNotAcquireForTwoSeconds(t *testing.T) {
	s := activeScript(t).after(duration/3 - 1) // so that the member may write the Lease soon afterwards
	s.does(HandOverRequested{}, Drain{}, Announce{})
	s.does(Drained{}, Deactivate{}, HandOver{peer, Term{1, 1}}, Announce{}).is(Standby)
	s.does(PeerEnded{From: peer}, Dial{})
	s.record.Holder, s.record.Renewed = ID{}, "released"
	s.does(LeaseObserved{Record: s.record})
	s.after(2*time.Second-1).does(Tick{}).after(1).does(Tick{}, Acquire{}, Announce{})
}

// Another member may be active, so that the standby must not become active with a higher term.
func TestHandOver_SessionWasTaken_StepsDown(t *testing.T) {
	s := activeScript(t).does(HandOverRequested{}, Drain{}, Announce{})
	s.does(SessionEnded{"x", true}, Suspend{"x"}, Query{}, Renew{})
	s.does(Drained{}, Deactivate{}, Announce{}).is(SteppedDown)
}

// Messages that have waited in a connection during a freeze are old.
func TestFroze_Standby_Disconnects(t *testing.T) {
	standbyScript(t).does(Froze{}, Disconnect{}, Dial{}).is(Standby)
}

func TestLeaseObserved_DeadHolderIsNotListed_StaysDead(t *testing.T) {
	s := standbyScript(t)
	s.m.Step(PeerGoodbye{peer}, s.now)
	s.record.Members, s.record.Version = []ID{self}, "2"
	s.m.Step(LeaseObserved{Record: s.record}, s.now)
	s.m.Step(PeerHeartbeat{ID{"c", "1"}, Announcement{State: Standby}}, s.now)
	if !s.m.Dead(peer) {
		t.Error("the proof of the holder's death is forgotten")
	}
}

// After the expiry of the Lease, a third member may have acquired it.
func TestStandby_ActivePeerEndsAfterTheExpiry_ThirdMemberMustAnswer(t *testing.T) {
	s, third := standbyScript(t), ID{"c", "1"}
	s.record.Members = append(s.record.Members, third)
	s.does(LeaseObserved{Record: s.record}, Dial{}).does(DialFailed{To: third})
	s.after(duration)
	s.m.Step(PeerHeartbeat{peer, Announcement{State: Active, Term: Term{5, 0}, Successor: self}}, s.now)
	s.m.Step(PeerGoodbye{peer}, s.now)
	s.is(Standby).m.Step(PeerConnected{third, Announcement{State: Standby, Warm: true}}, s.now)
	s.is(Standby).does(PeerAnswered{From: third, Said: Announcement{State: Standby}, Asked: s.m.seq}, Activate{Term{5, 1}}, Acquire{}, Announce{})
}
