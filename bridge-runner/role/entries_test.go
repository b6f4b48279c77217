// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"testing"
	"time"
)

// The member that has answered first may have acquired the Lease when the second one answers.
func TestFroze_AnswersOfDifferentTimes_AsksAgain(t *testing.T) {
	s, third := activeScript(t), ID{"c", "1"}
	s.m.Step(PeerConnected{third, Announcement{State: Standby, Warm: true}}, s.now)
	s.unreachable()
	answer := func(from ID) {
		for _, p := range s.m.members {
			if p.id == from && p.querying {
				s.m.Step(PeerAnswered{From: from, Said: Announcement{State: Standby}, Asked: p.queried}, s.now)
			}
		}
	}
	s.m.Step(Froze{}, s.now)
	answer(peer)
	s.after(2 * time.Second)
	answer(third)
	s.is(SteppedDown)
	s.m.Step(Tick{}, s.now)
	answer(peer)
	answer(third)
	s.is(Active)
}

func TestGone_MemberEndedOrUnreachable_ItsEntryIsOfNoUse(t *testing.T) {
	for name, tt := range map[string]struct {
		events []Event
		after  time.Duration
		want   bool
	}{
		"connected":                  {nil, time.Hour, false},
		"its connection has ended":   {[]Event{PeerEnded{From: peer}}, 4*duration - 1, false},
		"it cannot be reached":       {[]Event{PeerEnded{From: peer}}, 4 * duration, true},
		"its process has ended":      {[]Event{PeerGoodbye{peer}}, 0, true},
		"its pod has a next process": {[]Event{PeerEnded{From: peer}, PeerConnected{ID{peer.Pod, "2"}, Announcement{}}}, 0, true},
	} {
		s := activeScript(t)
		for _, e := range tt.events {
			s.m.Step(e, s.now)
		}
		s.after(tt.after).m.Step(Tick{}, s.now)
		if got := s.m.Gone(peer); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
		if s.m.Gone(self) || !s.m.Gone(ID{self.Pod, "0"}) {
			t.Errorf("%s: the own pod", name)
		}
	}
}

func TestWritten_ClaimWithoutWrite_HasNoTerm(t *testing.T) {
	s := standbyScript(t)
	if got := s.m.Written(); got != 0 {
		t.Errorf("the standby: %d", got)
	}
	s.m.Step(PeerGoodbye{peer}, s.now)
	if got := s.is(Active).m.Written(); got != 0 {
		t.Errorf("before the write: %d", got)
	}
	if got := s.written().m.Written(); got != 6 {
		t.Errorf("after the write: %d", got)
	}
}
