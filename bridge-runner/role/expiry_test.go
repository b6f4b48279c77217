// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"fmt"
	"testing"
	"time"
)

// The API server was down, and answers a read that has waited: the outage ends with the answer.
func TestStandby_ReadWasAnsweredLate_WaitsForTheHolder(t *testing.T) {
	s := standbyScript(t).after(10*duration).does(Tick{}, ReadLease{})
	s.after(duration).does(LeaseObserved{s.record, s.m.seq})
	s.after(duration/3-1).does(Tick{}).after(1).does(Tick{}, ReadLease{})
	s.does(LeaseObserved{s.record, s.m.seq}, Join{})
}

// requestTime is the time of a request to the API server in silentUntil.
const requestTime = 100 * time.Millisecond

// silentUntil lets time pass after the latest message of the peer, with an API server that answers, and
// returns the time until the member writes the Lease.
func (s *script) silentUntil(limit time.Duration) time.Duration {
	began := s.now
	heartbeat := s.m.cfg.Heartbeat()
	for s.now.Sub(began) < limit {
		for _, a := range s.after(heartbeat).m.Step(Tick{}, s.now) {
			switch a := a.(type) {
			case Dial:
				s.m.Step(DialFailed{To: a.To}, s.now)
			case ReadLease:
				for _, next := range s.m.Step(LeaseObserved{s.record, a.Asked}, s.now.Add(requestTime)) {
					if _, ok := next.(Acquire); ok {
						return s.now.Add(requestTime).Sub(began)
					}
				}
			case Acquire:
				return s.now.Sub(began)
			}
		}
	}
	s.t.Fatalf("the member does not write the Lease within %s", limit)
	return 0
}

// A node that is lost is replaced at most 2 seconds after its Lease has expired, whatever its duration is.
func TestStandby_ActiveNodeIsLost_AcquiresSoonAfterTheExpiry(t *testing.T) {
	for _, d := range []time.Duration{3 * time.Second, 5 * time.Second, 10 * time.Second, duration, time.Minute} {
		for _, renewedAgo := range []time.Duration{0, d / 6, d/3 - 1} {
			t.Run(fmt.Sprint(d, " ", renewedAgo), func(t *testing.T) {
				s := standbyFor(t, d, min(max(d/10, time.Second), 2*time.Second))
				s.after(renewedAgo).m.Step(PeerEnded{From: peer}, s.now)
				took := s.silentUntil(2*d) + renewedAgo
				if took < d || took > d+2*time.Second {
					t.Errorf("the member writes the Lease %s after the renewal", took)
				}
			})
		}
	}
}

// In the steady state, a standby makes no request.
func TestStandby_HolderRenewsTheLease_ReadsNothing(t *testing.T) {
	for _, d := range []time.Duration{3 * time.Second, 5 * time.Second, duration, time.Minute} {
		s := standbyFor(t, d, min(max(d/10, time.Second), 2*time.Second))
		for i := range 5 {
			s.after(d/3 + s.m.cfg.Heartbeat()).does(Tick{}) // the renewal is late
			s.record.Renewed = fmt.Sprint(i)
			s.does(LeaseObserved{Record: s.record})
		}
	}
}

// standbyFor is standbyScript with a duration of the Lease.
func standbyFor(t *testing.T, d, request time.Duration) *script {
	s := &script{t: t, now: epoch}
	s.m = New(Config{Self: self, Duration: d, RequestTimeout: request}, s.now)
	s.record = Record{UID: "1", Version: "1", Duration: d, Holder: peer, Term: 5, Members: []ID{self, peer}}
	s.m.Step(Warm{true}, s.now)
	s.m.Step(LeaseObserved{Record: s.record}, s.now)
	s.m.Step(PeerConnected{peer, Announcement{State: Active, Term: Term{5, 0}, Warm: true, Successor: self, Duration: d}}, s.now)
	return s.is(Standby)
}

// After an outage, the holder may have to repeat a request that has just begun to wait: that takes longer
// than a third of a short duration.
func TestStandby_ShortLeaseAfterAnOutage_WaitsForTheHolder(t *testing.T) {
	const d, request = 3 * time.Second, time.Second
	s := standbyFor(t, d, request).after(10*d).does(Tick{}, ReadLease{})
	s.does(LeaseObserved{s.record, s.m.seq})
	s.after(request + d/5 + d/15).does(Tick{})
	s.record.Renewed = "later"
	s.does(LeaseObserved{Record: s.record}).is(Standby)
}
