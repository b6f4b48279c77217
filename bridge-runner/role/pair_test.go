// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// pairScript returns the script of a member of a Pair that has dialled its peer.
func pairScript(t *testing.T, preferred bool, timeout time.Duration) *script {
	s := &script{t: t, now: epoch}
	s.m = New(Config{Self: self, Duration: duration, Pair: &Pair{Peer: peer.Pod, Preferred: preferred, Timeout: timeout}}, s.now)
	return s.does(Warm{true}, Dial{}, Announce{})
}

func TestPair_PeerIsNotRunning_Activates(t *testing.T) {
	for _, preferred := range []bool{true, false} {
		s := pairScript(t, preferred, 0)
		s.does(DialFailed{To: ID{Pod: peer.Pod}, Dead: true}, Activate{Term{0, 1}}, Announce{}).is(Active)
	}
}

func TestPair_PeerCannotBeReached_ActivatesAfterTheTimeoutOnly(t *testing.T) {
	for _, tt := range []struct {
		preferred bool
		timeout   time.Duration
		wait      time.Duration // 0: forever
	}{{true, 0, 0}, {false, 0, 0}, {true, time.Minute, time.Minute}, {false, time.Minute, 2 * time.Minute}} {
		s := pairScript(t, tt.preferred, tt.timeout)
		for range 300 {
			s.m.Step(DialFailed{To: ID{Pod: peer.Pod}}, s.now)
			s.m.Step(Tick{}, s.now)
			if waited := s.now.Sub(epoch); (s.m.State() == Active) != (tt.wait > 0 && waited >= tt.wait) {
				t.Fatalf("%+v: %s after %v", tt, s.m.State(), waited)
			}
			s.after(time.Second)
		}
	}
}

func TestPair_BothStart_PreferredActivates(t *testing.T) {
	said := Announcement{State: Starting, Warm: true}
	s := pairScript(t, true, 0).does(PeerConnected{peer, said}, Query{})
	s.does(PeerAnswered{peer, said, s.m.seq}, Activate{Term{0, 1}}, Announce{}).is(Active)
	pairScript(t, false, 0).does(PeerConnected{peer, said}).is(Starting)
}

func TestPair_PeerIsActive_StandsByUntilProof(t *testing.T) {
	s := pairScript(t, true, 0).does(PeerConnected{peer, Announcement{State: Active, Term: Term{0, 3}}}, Announce{}).is(Standby)
	s.does(PeerEnded{peer}, Dial{})
	s.does(DialFailed{To: peer}).is(Standby)
	s.after(time.Second).does(Tick{}, Dial{})
	s.does(DialFailed{To: peer, Dead: true}, Activate{Term{0, 4}}, Announce{}).is(Active)
}

func TestPair_PeerIsDead_SessionsEndRepeatedly_AreNoReasonToSuspend(t *testing.T) {
	s := pairScript(t, true, 0).does(DialFailed{To: ID{Pod: peer.Pod}, Dead: true}, Activate{Term{0, 1}}, Announce{})
	for range 3 {
		s.after(2*time.Second).does(SessionEnded{"x", false}).does(ConnectRequested{"x"}, Permit{"x"})
	}
}

func TestPair_TakeOverByHand_Activates(t *testing.T) {
	s := pairScript(t, false, 0).does(TakeOverRequested{}, Activate{Term{0, 2}}, Announce{}).is(Active)
	s.does(TakeOverRequested{}).is(Active)
}

// A user may declare a member dead that was frozen. When it continues, both are active, until they are
// connected.
func TestPair_BothActive_ConnectAndTheLowerClaimYields(t *testing.T) {
	s := pairScript(t, false, 0).does(TakeOverRequested{}, Activate{Term{0, 2}}, Announce{})
	s.does(DialFailed{To: ID{Pod: peer.Pod}}).after(time.Second).does(Tick{}, Dial{})
	s.does(PeerConnected{peer, Announcement{State: Active, Term: Term{0, 3}}}, Deactivate{}, Announce{}).is(Standby)
}

// After a fence, the preferred member activates again after the timeout, and the other waits for its
// peer: the members do not end each other's sessions repeatedly.
func TestPair_FencedAndCut_OnlyThePreferredMemberActivatesAgain(t *testing.T) {
	for _, preferred := range []bool{true, false} {
		s := pairScript(t, preferred, time.Minute)
		s.does(DialFailed{To: ID{Pod: peer.Pod}, Dead: true}, Activate{Term{0, 1}}, Announce{})
		s.does(PeerConnected{peer, Announcement{State: Standby, Warm: true}}, Announce{})
		s.does(PeerEnded{peer}, Dial{}).does(DialFailed{To: peer})
		s.after(3*time.Minute).does(SessionEnded{"x", true}, Suspend{"x"}, Dial{}, Announce{})
		resumed := false
		for range 600 {
			s.m.Step(DialFailed{To: peer}, s.now)
			for _, a := range s.after(time.Second).m.Step(Tick{}, s.now) {
				switch a.(type) {
				case Resume, Permit, Activate:
					resumed = true
				}
			}
		}
		if resumed != preferred {
			t.Errorf("preferred: %v, active again: %v", preferred, resumed)
		}
	}
}

// pairWorld returns a pair after a random schedule of faults and their end.
func pairWorld(seed uint64, logs bool) *world {
	random := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(2, 1, random)
	w.logs, w.pair = logs, &Pair{Timeout: time.Duration(random.IntN(2)) * time.Minute}
	w.applyRandom(random)
	w.settle()
	return w
}

func TestPair_RandomFaults_ClaimsNeverGoBackAndOneMemberIsActive(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+uint64(*schedules); seed++ {
		if w := pairWorld(seed, false); w.fault != "" {
			fail(t, fmt.Sprintf("-seed=%d", seed), func() *world { return pairWorld(seed, true) })
		}
	}
}
