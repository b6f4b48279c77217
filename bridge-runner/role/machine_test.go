// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

var (
	self = ID{"a", "1"}
	peer = ID{"b", "1"}
)

// script drives a machine in simulated time.
type script struct {
	t   *testing.T
	m   *Machine
	now time.Time
	// record is the Lease.
	record Record
}

func newScript(t *testing.T, pair *Pair) *script {
	s := &script{t: t, now: epoch}
	s.m = New(Config{Self: self, Duration: duration, Pair: pair}, s.now)
	s.record = Record{UID: "1", Version: "1", Duration: duration, Members: []ID{self, peer}}
	s.does(Warm{true}, Announce{})
	return s
}

// activeScript returns the script of an active member with the Lease, whose standby is connected.
func activeScript(t *testing.T) *script {
	s := newScript(t, nil)
	s.m.Step(LeaseObserved{Record: s.record}, s.now)
	s.written()
	s.m.Step(PeerConnected{peer, Announcement{State: Standby, Warm: true}}, s.now)
	return s.is(Active)
}

// standbyScript returns the script of the successor of a connected active member.
func standbyScript(t *testing.T) *script {
	s := newScript(t, nil)
	s.record.Holder, s.record.Term = peer, 5
	s.m.Step(LeaseObserved{Record: s.record}, s.now)
	s.m.Step(PeerConnected{peer, Announcement{State: Active, Term: Term{5, 0}, Warm: true, Successor: self}}, s.now)
	return s.is(Standby)
}

func (s *script) after(d time.Duration) *script { s.now = s.now.Add(d); return s }

// does reports an event, and checks the actions. Announcements, dials, queries, reads and writes are
// compared by their types only.
func (s *script) does(e Event, want ...Action) *script {
	s.t.Helper()
	got := s.m.Step(e, s.now)
	for i, a := range got {
		switch a.(type) {
		case Announce, Dial, Query, ReadLease, Acquire, Renew, Release, Join:
			got[i] = reflect.Zero(reflect.TypeOf(a)).Interface().(Action)
		}
	}
	if len(got) != len(want) || !slices.EqualFunc(got, want, func(a, b Action) bool { return reflect.DeepEqual(a, b) }) {
		s.t.Fatalf("%T%+v: actions %T%+v, want %T%+v", e, e, got, got, want, want)
	}
	return s
}

// written reports that the write under way has succeeded.
func (s *script) written() *script {
	s.record.Holder, s.record.Term = self, s.record.Term+1
	s.record.Version, s.record.Renewed = s.now.String(), s.now.String()
	s.m.Step(LeaseWritten{Written, s.record}, s.now)
	return s
}

// expires lets the Lease expire while the API server answers, and checks the actions.
func (s *script) expires(want ...Action) *script {
	s.t.Helper()
	s.after(2*duration/3).does(Tick{}, ReadLease{}).does(LeaseObserved{s.record, s.m.seq})
	s.after(duration/3).does(Tick{}, ReadLease{})
	return s.does(LeaseObserved{s.record, s.m.seq}, want...)
}

func (s *script) is(want State) *script {
	s.t.Helper()
	if got := s.m.State(); got != want {
		s.t.Fatalf("the state is %s, want %s", got, want)
	}
	return s
}

// unreachable ends the validity of the Lease: the API server does not answer, but the peer does.
func (s *script) unreachable() *script {
	for failed := false; s.m.valid() || !failed; {
		s.after(time.Second)
		s.m.Step(PeerHeartbeat{peer, Announcement{State: Standby, Warm: true}}, s.now)
		s.m.Step(Tick{}, s.now)
		failed = s.m.lease.writing != nil
		s.m.Step(LeaseWritten{Result: Unknown}, s.now)
	}
	return s
}

func TestSessionEnded_LeaseIsValid_ConnectsWithoutQuestion(t *testing.T) {
	activeScript(t).does(SessionEnded{"x", false}).does(ConnectRequested{"x"}, Permit{"x"})
}

// If both members dial at the same time, one of them closes one of the two connections. A Dial at once would
// be closed, too, until the other connection is complete.
func TestPeerEnded_MemberContinues_NextDialWaits(t *testing.T) {
	s := standbyScript(t).does(PeerEnded{From: peer, Continues: true})
	s.after(s.m.cfg.Heartbeat()).does(Tick{}, Dial{})
}

func TestSessionEnded_LeaseIsNotValid_ResumesAfterAnswer(t *testing.T) {
	s := activeScript(t).unreachable().does(SessionEnded{"x", false}, Suspend{"x"}, Query{})
	s.does(PeerAnswered{From: peer, Said: Announcement{State: Standby}, Asked: s.m.seq}, Resume{"x"})
}

func TestSessionEnded_AnswerIsOlderThanTheEnd_StaysSuspended(t *testing.T) {
	s := activeScript(t).unreachable().does(SessionEnded{"x", false}, Suspend{"x"}, Query{})
	asked := s.m.seq
	s.does(SessionEnded{"y", true}, Suspend{"y"})
	s.does(PeerAnswered{From: peer, Said: Announcement{State: Standby}, Asked: asked}, Resume{"x"}, Query{})
	s.does(PeerAnswered{From: peer, Said: Announcement{State: Standby}, Asked: asked + 2}, Resume{"y"})
}

func TestSessionEnded_NothingAnswers_StaysSuspended(t *testing.T) {
	s := activeScript(t).unreachable()
	s.does(PeerEnded{From: peer})
	s.does(SessionEnded{"x", false}, Suspend{"x"}, Dial{})
	s.does(DialFailed{To: peer})
	for range 100 {
		for _, a := range s.after(time.Second).m.Step(Tick{}, s.now) {
			if _, ok := a.(Resume); ok {
				t.Fatal("the bridge is resumed")
			}
		}
		s.m.Step(LeaseWritten{Result: Unknown}, s.now)
		s.m.Step(DialFailed{To: peer}, s.now)
	}
	s.does(DialFailed{To: peer, Dead: true}, Resume{"x"})
}

func TestSessionEnded_PeerIsTakingOver_AsksAgain(t *testing.T) {
	s := activeScript(t).unreachable().does(SessionEnded{"x", false}, Suspend{"x"}, Query{})
	s.does(PeerAnswered{From: peer, Said: Announcement{State: TakingOver}, Asked: s.m.seq})
	s.after(time.Second).does(Tick{}, Query{})
}

func TestSessionEnded_TwiceWithoutAnyAnswer_WaitsForTheDuration(t *testing.T) {
	s := activeScript(t).unreachable().does(PeerGoodbye{peer}, Announce{})
	s.does(SessionEnded{"x", false}).does(ConnectRequested{"x"}, Permit{"x"})
	s.does(SessionEnded{"x", false}, Suspend{"x"})
	s.does(LeaseWritten{Result: Unknown}).after(duration).does(Tick{}, Renew{}, Resume{"x"})
}

func TestSessionTaken_LeaseIsValid_ResumesAfterRenewal(t *testing.T) {
	s := activeScript(t).does(SessionEnded{"x", true}, Suspend{"x"}, Query{}, Renew{})
	s.does(LeaseWritten{Written, s.record}, Resume{"x"}).is(Active)
}

func TestSessionTaken_LeaseIsHeldByAnother_YieldsAtOnce(t *testing.T) {
	s := activeScript(t).does(SessionEnded{"x", true}, Suspend{"x"}, Query{}, Renew{})
	s.record.Holder, s.record.Term = peer, 2
	s.does(LeaseWritten{Conflict, s.record}, Deactivate{}, Announce{}).is(Standby)
}

func TestFroze_AnswerIsStandby_ActivatesAgain(t *testing.T) {
	s := activeScript(t).does(Froze{}, Deactivate{}, Query{}, Renew{}, Announce{}).is(SteppedDown)
	s.does(PeerAnswered{From: peer, Said: Announcement{State: Standby}, Asked: s.m.seq}, Activate{Term{1, 0}}, Announce{}).is(Active)
}

func TestFroze_BothSteppedDown_OnlyTheHigherClaimActivates(t *testing.T) {
	s := activeScript(t).does(Froze{}, Deactivate{}, Query{}, Renew{}, Announce{})
	higher, lower := Announcement{State: SteppedDown, Term: Term{2, 0}}, Announcement{State: SteppedDown}
	asked := s.m.seq
	s.does(PeerAnswered{From: peer, Said: higher, Asked: asked}).is(SteppedDown)
	s.does(PeerAnswered{From: peer, Said: lower, Asked: asked}, Activate{Term{1, 0}}, Announce{}).is(Active)
}

func TestStandby_ActivePeerEnds_DialsAndTakesOverOnProofOnly(t *testing.T) {
	s := standbyScript(t).does(PeerEnded{From: peer}, Dial{})
	s.does(DialFailed{To: peer}).is(Standby)
	s.after(time.Second).does(Tick{}, Dial{})
	s.does(DialFailed{To: peer, Dead: true}, Activate{Term{5, 1}}, Acquire{}, Announce{}).is(Active)
}

func TestStandby_ActivePodHasAnotherProcess_TakesOver(t *testing.T) {
	s := standbyScript(t).does(PeerEnded{From: peer}, Dial{})
	next := ID{peer.Pod, "2"}
	s.does(PeerConnected{next, Announcement{State: Starting, Warm: true}}, Query{})
	s.does(PeerAnswered{From: next, Said: Announcement{State: Starting}, Asked: s.m.seq}, Activate{Term{5, 1}}, Acquire{}, Announce{})
}

func TestStandby_NotSuccessor_WaitsForTheLease(t *testing.T) {
	s := standbyScript(t)
	third := ID{"c", "1"}
	s.does(PeerHeartbeat{peer, Announcement{State: Active, Term: Term{5, 0}, Warm: true, Successor: third}})
	s.does(PeerConnected{third, Announcement{State: Standby, Warm: true}})
	s.does(PeerGoodbye{peer}).is(Standby)
	s.expires(Acquire{}, Announce{}).is(TakingOver)
}

func TestStandby_NamedLongAgo_WaitsForTheLease(t *testing.T) {
	s := standbyScript(t).does(PeerEnded{From: peer}, Dial{}).does(DialFailed{To: peer})
	s.record.Renewed = "later"
	s.after(duration).does(LeaseObserved{Record: s.record}, Dial{})
	s.does(DialFailed{To: peer, Dead: true}, Acquire{}, Announce{}).is(TakingOver)
}

func TestStandby_LeaseExpires_AsksConnectedMemberToHandOver(t *testing.T) {
	s := standbyScript(t).asks().does(Tick{})
	s.after(duration).does(Tick{}, Acquire{}, Announce{}).is(TakingOver)
	s.does(PeerHandedOver{peer, Term{5, 1}}, Activate{Term{5, 1}}, Announce{}).is(Active)
}

func TestStandby_HasAnswered_DoesNotAcquireForTwoHeartbeats(t *testing.T) {
	s := standbyScript(t).asks()
	s.does(PeerAsked{peer, 1}, Answer{From: peer, Asked: 1}).does(PeerEnded{From: peer}, Dial{}).is(Standby)
	s.does(DialFailed{To: peer, Dead: false})
	s.after(time.Second).does(Tick{}, Dial{}).is(Standby)
	s.after(time.Second).does(Tick{}, Acquire{}, Announce{}).is(TakingOver)
}

// The API server was down: the holder renews the Lease within a third of its duration.
func TestStandby_APIServerAnswersAgain_WaitsForTheHolder(t *testing.T) {
	s := standbyScript(t).after(10*duration).does(Tick{}, ReadLease{}).does(LeaseUnreadable{})
	s.after(duration/3).does(Tick{}, ReadLease{}).does(LeaseObserved{s.record, s.m.seq}).does(Tick{})
	s.after(duration/3 - 1).does(Tick{})
	s.record.Renewed = "later"
	s.does(LeaseObserved{Record: s.record}).after(1).does(Tick{}).is(Standby)
}

func TestStandby_APIServerDoesNotAnswer_NeverAsks(t *testing.T) {
	s := standbyScript(t)
	for range 100 {
		s.after(time.Second)
		for _, a := range s.m.Step(Tick{}, s.now) {
			if _, ok := a.(ReadLease); !ok {
				t.Fatalf("action %T", a)
			}
		}
		s.m.Step(LeaseUnreadable{}, s.now)
	}
}

func TestStandby_OldHandOver_IsIgnored(t *testing.T) {
	standbyScript(t).does(PeerHandedOver{peer, Term{5, 0}}).is(Standby)
}

func TestLeaseObserved_OlderTerm_IsIgnored(t *testing.T) {
	s := activeScript(t)
	s.does(LeaseObserved{Record: Record{UID: "1", Holder: peer, Duration: duration}}).is(Active)
}

func TestLeaseObserved_CreatedAgain_IsAcquiredByTheActiveMember(t *testing.T) {
	s := activeScript(t).after(duration / 3)
	s.does(LeaseObserved{Record: Record{UID: "2", Duration: duration}}, Acquire{}).is(Active)
}

func TestLeaseObserved_NoDuration_ExpiresAfterOwnDuration(t *testing.T) {
	s := newScript(t, nil)
	s.record.Holder, s.record.Term, s.record.Duration = peer, 5, 0
	s.does(LeaseObserved{Record: s.record}, Dial{}, Announce{}).does(DialFailed{To: peer})
	s.after(8*time.Second-1).does(Tick{}, Dial{}) // two heartbeats before the last third
	s.after(1).does(Tick{}, ReadLease{})
}

func TestLeaseObserved_UnreachableMemberIsRemoved_IsNotAsked(t *testing.T) {
	s := standbyScript(t)
	lost := ID{"c", "1"}
	s.record.Members = []ID{self, peer, lost}
	s.does(LeaseObserved{Record: s.record}, Dial{}).does(DialFailed{To: lost})
	s.record.Members = []ID{self, peer}
	s.after(time.Second).does(LeaseObserved{Record: s.record})
}

func TestShutdown_WithoutStandby_ReleasesTheLease(t *testing.T) {
	s := activeScript(t).does(PeerGoodbye{peer}, Announce{})
	s.does(ShutdownRequested{}, Drain{}, Announce{}).is(HandingOver)
	s.does(Drained{}, Deactivate{}, Release{}, Announce{})
	s.does(LeaseWritten{Result: Unknown}, Exit{}).is(Stopped)
}

func TestShutdown_TargetIsLostBeforeItClaims_KeepsTheLease(t *testing.T) {
	s := activeScript(t).does(ShutdownRequested{}, Drain{}, Announce{})
	s.does(Drained{}, Deactivate{}, HandOver{peer, Term{1, 1}}).is(HandingOver)
	s.does(PeerEnded{From: peer}, Dial{}).does(DialFailed{To: peer}).is(HandingOver)
	s.after(duration/5-1).m.Step(Tick{}, s.now)
	s.does(DialFailed{To: peer}).after(1).does(Tick{}, Exit{}).is(Stopped)
}

func TestHandOver_ConnectionEndsFirst_IsRepeated(t *testing.T) {
	s := activeScript(t).does(HandOverRequested{}, Drain{}, Announce{})
	s.does(Drained{}, Deactivate{}, HandOver{peer, Term{1, 1}}, Announce{}).is(Standby)
	s.does(PeerEnded{From: peer}, Dial{})
	s.does(PeerConnected{peer, Announcement{State: Standby, Warm: true}}, HandOver{peer, Term{1, 1}})
}

func TestHandOver_AskedWhileTheLeaseIsValid_IsRefused(t *testing.T) {
	activeScript(t).does(PeerAsksHandOver{peer}).is(Active)
	activeScript(t).unreachable().does(PeerAsksHandOver{peer}, Drain{}, Announce{}).is(HandingOver)
}
