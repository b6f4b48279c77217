// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"reflect"
	"testing"
	"time"
)

// A Lease that was deleted and created again begins with the term 0.
func TestTakingOver_LeaseWasCreatedAgain_WritesAHigherTermThanEachKnownClaim(t *testing.T) {
	s := newScript(t, nil)
	s.m.Step(LeaseObserved{Record: s.record}, s.now)
	s.is(TakingOver)
	s.m.Step(PeerConnected{peer, Announcement{State: SteppedDown, Term: Term{5, 1}}}, s.now)
	s.record.Holder, s.record.Term, s.record.Version = self, 1, "2"
	s.does(LeaseWritten{Written, s.record}, Acquire{}).is(TakingOver)
	s.record.Term, s.record.Version = 6, "3"
	s.does(LeaseWritten{Written, s.record}, Activate{Term{6, 0}}, Announce{}).is(Active)
}

// Otherwise a member that starts could acquire the Lease although this one lives.
func TestActive_LeaseWasCreatedAgain_WritesItAtOnce(t *testing.T) {
	s := activeScript(t)
	s.record = Record{UID: "2", Version: "7", Duration: duration}
	s.does(LeaseObserved{Record: s.record}, Acquire{}).is(Active)
}

// No report of this member would be accepted otherwise.
func TestTermFound_Active_AcquiresTheLeaseWithALaterTerm(t *testing.T) {
	s := activeScript(t)
	actions := s.m.Step(TermFound{7}, s.now)
	if len(actions) != 1 || !reflect.DeepEqual(actions[0], Acquire{s.record, 8}) {
		t.Fatalf("%+v", actions)
	}
	s.record.Term, s.record.Version = 8, "3"
	s.does(LeaseWritten{Written, s.record}, Announce{}).is(Active)
	s.after(duration/3).does(Tick{}, Renew{})
}

// The term may be the term of a member that has become active since. Then the write fails.
func TestTermFound_AnotherMemberHasTheLease_Yields(t *testing.T) {
	s := activeScript(t).does(TermFound{2}, Acquire{})
	s.record.Holder, s.record.Term, s.record.Version = peer, 2, "3"
	s.does(LeaseWritten{Conflict, s.record}, Deactivate{}, Announce{}).is(Standby)
}

func TestTermFound_Standby_DoesNotChangeItsClaim(t *testing.T) {
	s := standbyScript(t).does(TermFound{9})
	s.does(PeerEnded{From: peer}, Dial{}).does(DialFailed{peer, true}, Activate{Term{5, 1}}, Acquire{}, Announce{}).is(Active)
}

// A member that is cut off from the API server does not know the holder of a Lease that was created again. The
// standby knows both.
func TestPeerAnswered_MemberKnowsAHigherClaim_DoesNotConfirm(t *testing.T) {
	s := activeScript(t).unreachable().does(SessionEnded{"x", true}, Suspend{"x"}, Query{})
	answer := PeerAnswered{From: peer, Said: Announcement{State: Standby}, Asked: s.m.seq, Rival: ID{"c", "1"}, RivalTerm: Term{2, 0}}
	s.does(answer)
	s.after(time.Second).does(Tick{}, Query{})
	answer.Asked, answer.RivalTerm = s.m.seq, Term{0, 7}
	s.does(answer, Resume{"x"})
}

func TestPeerAsked_HigherClaimIsKnown_AnswerNamesIt(t *testing.T) {
	s := standbyScript(t)
	third := ID{"c", "1"}
	s.m.Step(PeerConnected{third, Announcement{State: Active, Term: Term{4, 0}}}, s.now)
	s.does(PeerAsked{third, 1}, Answer{third, 1, peer, Term{5, 0}})
	s.does(PeerAsked{peer, 1}, Answer{From: peer, Asked: 1})
}
