// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"slices"
	"testing"
	"time"
)

// endingScript returns the script of a process that ends, and has handed over to its standby.
func endingScript(t *testing.T) *script {
	s := activeScript(t)
	s.does(ShutdownRequested{}, Drain{}, Announce{})
	return s.does(Drained{}, Deactivate{}, HandOver{peer, Term{1, 1}}).is(HandingOver)
}

var warmStandby = Announcement{State: Standby, Warm: true}

// If both members have dialled, one of the two connections is closed, with the messages that wait in it.
func TestShutdown_HandOverIsLostWithItsConnection_IsRepeatedOnTheNext(t *testing.T) {
	s := endingScript(t)
	s.does(PeerConnected{peer, warmStandby}, HandOver{peer, Term{1, 1}}).is(HandingOver)
	s.does(Tick{}).is(HandingOver) // not on the same connection
	s.does(PeerHeartbeat{peer, Announcement{State: Active, Term: Term{1, 1}}}, Exit{}).is(Stopped)
}

// The standby has closed the connection before this member knows the connection that replaces it.
func TestShutdown_ConnectionEndsAfterTheHandOver_WaitsForTheNext(t *testing.T) {
	s := endingScript(t)
	s.does(PeerEnded{From: peer, Continues: true}).is(HandingOver)
	s.does(PeerConnected{peer, warmStandby}, HandOver{peer, Term{1, 1}}).is(HandingOver)
	s.after(duration/5 - 1).does(Tick{}).is(HandingOver)
	s.after(1).m.Step(Tick{}, s.now) // the standby does not claim: it takes over when this process has ended
	s.is(Stopped)
}

// The proof that the standby has ended ends the wait for its claim.
func TestShutdown_StandbyEndsAfterTheHandOver_EndsAtOnce(t *testing.T) {
	for name, proof := range map[string]Event{"refused": DialFailed{To: peer, Dead: true}, "goodbye": PeerGoodbye{peer}} {
		s := endingScript(t)
		s.does(PeerEnded{From: peer}, Dial{}).is(HandingOver)
		s.m.Step(proof, s.now)
		if s.m.lease.writing == nil { // the release
			t.Errorf("%s: the Lease is not released", name)
		}
		s.is(Standby)
	}
}

// The standby has become active, and the claim that it has sent was lost with the connection.
func TestShutdown_ClaimIsLostWithItsConnection_EndsByTheNextHello(t *testing.T) {
	s := endingScript(t)
	s.does(PeerConnected{peer, Announcement{State: Active, Term: Term{1, 1}}}, Exit{}).is(Stopped)
}

func TestShutdown_HandOverIsLostAndAThirdMemberIsActive_IsNotRepeated(t *testing.T) {
	s := endingScript(t)
	s.m.Step(PeerConnected{ID{"c", "1"}, Announcement{State: Active, Term: Term{7, 0}}}, s.now)
	for _, a := range s.m.Step(PeerConnected{peer, warmStandby}, s.now) {
		if _, ok := a.(HandOver); ok {
			t.Error("the hand-over is repeated")
		}
	}
}

// A hand-over is void that this member has already followed, or whose term is not higher than its own claim.
func TestHandOver_ArrivesAgainAfterAFreeze_DoesNotConfirmTheClaim(t *testing.T) {
	s := standbyScript(t)
	s.does(PeerHandedOver{peer, Term{5, 1}}, Activate{Term{5, 1}}, Acquire{}, Announce{})
	s.m.Step(Froze{}, s.now)
	s.is(SteppedDown).m.Step(PeerHandedOver{peer, Term{5, 1}}, s.now)
	s.is(SteppedDown).m.Step(PeerHandedOver{peer, Term{5, 2}}, s.now)
	s.is(Active)
}

// The request of the standby is repeated on the next connection, but not to a later claim: if no member can
// write the Lease, two members would otherwise hand over to each other without an end.
func TestAskHandOver_IsLostWithItsConnection_IsRepeatedOnTheNext(t *testing.T) {
	claim := func(n uint64) Announcement {
		return Announcement{State: Active, Term: Term{5, n}, Warm: true, Successor: self}
	}
	asks := func(s *script, said Announcement) bool {
		for _, a := range s.m.Step(PeerConnected{peer, said}, s.now) {
			if a == (AskHandOver{peer}) {
				return true
			}
		}
		return false
	}
	for name, tt := range map[string]struct {
		said Announcement
		want bool
	}{"the same claim": {claim(0), true}, "a later claim": {claim(2), false}} {
		s := standbyScript(t).asks().after(time.Second)
		if got := asks(s, tt.said); got != tt.want {
			t.Errorf("%s: asks again: %t", name, got)
		}
		for _, a := range s.m.Step(Tick{}, s.now) {
			if _, ok := a.(AskHandOver); ok {
				t.Errorf("%s: asks again on the same connection", name)
			}
		}
	}
}

// A query or an answer that is lost with its connection is asked again on the next one.
func TestQuery_IsLostWithItsConnection_IsRepeatedOnTheNext(t *testing.T) {
	s := pairScript(t, true, 0).does(PeerConnected{peer, warmStandby}, Query{})
	s.does(PeerConnected{peer, warmStandby}, Query{})
	s.does(PeerAnswered{From: peer, Said: warmStandby, Asked: s.m.seq}, Activate{Term{0, 1}}, Announce{}).is(Active)
}

// The drain ends after the standby has closed a connection, and before this member knows the connection that
// replaces it.
func TestShutdown_DrainEndsBetweenTwoConnections_WaitsForTheNext(t *testing.T) {
	for _, early := range []bool{true, false} {
		s := activeScript(t)
		if early {
			s.m.Step(PeerEnded{From: peer, Continues: true}, s.now)
		}
		s.does(ShutdownRequested{}, Drain{}, Announce{})
		if !early {
			s.m.Step(PeerEnded{From: peer, Continues: true}, s.now)
		}
		s.after(duration/15).m.Step(Drained{}, s.now)
		s.is(HandingOver)
		if got := s.m.Step(PeerConnected{peer, warmStandby}, s.now); !slices.Contains(got, Action(HandOver{peer, Term{1, 1}})) {
			t.Errorf("early %t: no hand-over: %T%+v", early, got, got)
		}
	}
}

// A process that does not end forwards on: a wait would be a gap.
func TestHandOver_StandbyDoesNotReturn_WaitIsBounded(t *testing.T) {
	for request, want := range map[Event]State{ShutdownRequested{}: HandingOver, HandOverRequested{}: Active} {
		s := activeScript(t).does(request, Drain{}, Announce{})
		s.m.Step(PeerEnded{From: peer}, s.now)
		s.m.Step(Drained{}, s.now)
		s.is(want)
		s.after(duration/5-1).m.Step(Tick{}, s.now)
		s.is(want).after(1).m.Step(Tick{}, s.now)
		if (s.m.State() == Stopped) != (want == HandingOver) {
			t.Errorf("%T: %s", request, s.m.State())
		}
	}
}

// The proof that the standby has ended ends the wait.
func TestShutdown_StandbyEndsBeforeTheHandOver_ReleasesTheLeaseAtOnce(t *testing.T) {
	s := activeScript(t).does(ShutdownRequested{}, Drain{}, Announce{})
	s.m.Step(PeerEnded{From: peer}, s.now)
	s.m.Step(Drained{}, s.now)
	s.is(HandingOver).m.Step(DialFailed{To: peer, Dead: true}, s.now)
	if s.is(Standby).m.lease.writing == nil { // the release
		t.Error("the Lease is not released")
	}
}
