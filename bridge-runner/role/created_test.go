// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import "testing"

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
