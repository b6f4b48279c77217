// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A firewall refuses connections to the holder, which this member could never reach.
func TestStandby_UnreachedHolderRefuses_WaitsForAMissedRenewal(t *testing.T) {
	s := newScript(t, nil)
	s.record.Holder, s.record.Term = peer, 5
	refused := DialFailed{To: peer, Dead: true}
	s.does(LeaseObserved{Record: s.record}, Dial{}, Announce{}).does(refused)
	for i := range 10 {
		s.record.Renewed = fmt.Sprint(i)
		s.after(duration/3).does(LeaseObserved{Record: s.record}, Dial{}).does(refused).is(Standby)
	}
	s.after(duration/3+duration/5-1).does(Tick{}, Dial{}).does(refused)
	s.after(1).does(Tick{}, Acquire{}, Announce{}).is(TakingOver)
}

// The member takes over, because the connection to the holder has ended and its address refuses the next
// one. A later write by the holder shows that it lives.
func TestStandby_RefusedHolderWritesTheLease_IsAliveAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		after time.Duration
		term  uint64
		alive bool
		state State
	}{
		"the write may be older than the refusal": {duration / 3, 5, false, Active},
		"the write is later":                      {duration/3 + 1, 5, true, Active}, // the own claim is higher
		"another member held the Lease before":    {time.Millisecond, 7, true, Standby},
	} {
		t.Run(name, func(t *testing.T) {
			s, refused := standbyScript(t), DialFailed{To: peer, Dead: true}
			s.does(PeerEnded{From: peer}, Dial{}).does(refused, Activate{Term{5, 1}}, Acquire{}, Announce{})
			s.record.Renewed, s.record.Term = "later", tt.term
			s.after(tt.after).m.Step(LeaseObserved{Record: s.record}, s.now)
			s.m.Step(refused, s.now) // proves nothing any more, if the holder lives
			if got := s.is(tt.state).m.Dead(peer); got == tt.alive {
				t.Errorf("dead: %t", got)
			}
			s.m.Step(PeerConnected{peer, Announcement{State: Standby}}, s.now)
			s.m.Step(PeerEnded{From: peer}, s.now)
			s.m.Step(refused, s.now)
			if !s.m.Dead(peer) {
				t.Error("after the next connection, a refusal is no proof")
			}
		})
	}
}

// refusingWorld returns a world of two members whose addresses refuse connections: from the start, or
// together with the end of the connection between them.
func refusingWorld(fromStart, logs bool) *world {
	w := newWorld(2, 1, nil)
	w.logs, w.refuses = logs, fromStart
	for _, p := range w.pods {
		w.start(p)
		w.run(3 * time.Second)
	}
	if !fromStart {
		w.must("refuse connections", w.pods[0])
		w.must("refuse connections", w.pods[1])
		w.must("reset the connections", w.pods[0])
	}
	w.run(10 * time.Minute)
	want, most := []string{"pod-0/1"}, 2
	if !fromStart { // the refusal misleads the standby, and then the member that was active, once
		want, most = []string{"pod-0/1", "pod-1/1", "pod-0/1"}, 10
	}
	if got := w.actives(); !slices.Equal(got, want) {
		w.violate("the processes %v become active, want %v", got[:min(len(got), 10)], want)
	}
	if w.connects > most {
		w.violate("the servers accept %d sessions, want at most %d", w.connects, most)
	}
	return w
}

func TestMachine_FirewallRefuses_MembersDoNotTakeOverByTurns(t *testing.T) {
	for _, fromStart := range []bool{true, false} {
		if w := refusingWorld(fromStart, false); w.fault != "" {
			fail(t, fmt.Sprintf("from the start: %t", fromStart), func() *world { return refusingWorld(fromStart, true) })
		}
	}
}

// separatedWorld returns a world after a random schedule of faults and their end, in which a firewall always
// refuses connections between the pods.
func separatedWorld(seed uint64, logs bool) *world {
	random := rand.New(rand.NewPCG(seed, 2))
	w := newWorld(2+random.IntN(2), 1, random)
	w.logs, w.refuses = logs, true
	w.applyRandom(random)
	w.settle()
	return w
}

func TestMachine_FirewallAlwaysRefuses_RandomFaults_OneMemberIsActive(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+uint64(*schedules); seed++ {
		if w := separatedWorld(seed, false); w.fault != "" {
			fail(t, fmt.Sprintf("-seed=%d", seed), func() *world { return separatedWorld(seed, true) })
		}
	}
}
