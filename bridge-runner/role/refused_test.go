// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"testing"
	"time"
)

// asks lets the Lease expire, and reports that the member can write it, so that it asks the peer to hand
// over.
func (s *script) asks() *script {
	s.t.Helper()
	return s.expires(Join{}).does(LeaseWritten{Written, s.record}, AskHandOver{peer})
}

// wantNoRequest lets time pass, with an API server that refuses all writes and answers reads, and checks
// that the member does not ask the active one to hand over.
func (s *script) wantNoRequest(d time.Duration) {
	s.t.Helper()
	for end := s.now.Add(d); s.now.Before(end); {
		actions := s.after(time.Second).m.Step(Tick{}, s.now)
		for len(actions) > 0 {
			a := actions[0]
			actions = actions[1:]
			switch a := a.(type) {
			case AskHandOver:
				s.t.Fatal("the member asks the active one to hand over")
			case Join, Acquire:
				actions = append(actions, s.m.Step(LeaseWritten{Result: Unknown}, s.now)...)
			case ReadLease:
				actions = append(actions, s.m.Step(LeaseObserved{s.record, a.Asked}, s.now)...)
			}
		}
	}
}

// Without this, two members would hand over to each other without an end.
func TestStandby_APIServerRefusesWrites_NeverAsksForAHandOver(t *testing.T) {
	s := standbyScript(t).expires(Join{})
	s.does(LeaseWritten{Result: Unknown}).wantNoRequest(10 * duration)
	s.is(Standby)
	// When the API server accepts writes again, the active member has time to renew the Lease.
	s.m.lease.writeAt = s.now
	s.does(Tick{}, Join{}).does(LeaseWritten{Written, s.record}).does(Tick{})
	s.after(duration/3).does(Tick{}, ReadLease{}).does(LeaseObserved{s.record, s.m.seq}, AskHandOver{peer})
}

func TestStandby_ActiveAgainSinceItHasAsked_AsksOnceForEachRecord(t *testing.T) {
	s := standbyScript(t).asks()
	s.does(PeerHandedOver{peer, Term{5, 1}}, Activate{Term{5, 1}}, Acquire{}, Announce{})
	s.does(LeaseWritten{Result: Unknown})
	s.m.Step(PeerHeartbeat{peer, Announcement{State: Standby, Warm: true}}, s.now)
	s.does(HandOverRequested{}, Drain{}, Announce{})
	s.does(Drained{}, Deactivate{}, HandOver{peer, Term{5, 2}}, Announce{}).is(Standby)
	s.does(PeerHeartbeat{peer, Announcement{State: Active, Term: Term{5, 2}, Successor: self}})
	s.wantNoRequest(duration - time.Second)
	s.record.Renewed = "later"
	s.does(LeaseObserved{Record: s.record})
	s.m.lease.writeAt = s.now
	s.asks()
}

// An entry is no renewal: the claim of the member is not valid longer because of it.
func TestJoin_Written_RenewsNothing(t *testing.T) {
	s := standbyScript(t).expires(Join{})
	before := s.m.lease
	s.record.Version = "joined"
	s.m.Step(LeaseWritten{Written, s.record}, s.now)
	after := s.m.lease
	if after.changedAt != before.changedAt || after.validUntil != before.validUntil || after.confirmed != before.confirmed {
		t.Errorf("the Lease is %+v, before it was %+v", after, before)
	}
}
