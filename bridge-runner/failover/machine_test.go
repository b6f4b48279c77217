// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"testing"
	"time"
)

// script drives a machine in simulated time.
type script struct {
	t   *testing.T
	m   *Machine
	now time.Time
}

func newScript(t *testing.T, servers int) *script {
	cfg := Config{Servers: servers, RetryInitial: 500 * time.Millisecond, RetryMax: 30 * time.Second}
	return &script{t, New(cfg, func() float64 { return 0 }), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func (s *script) after(d time.Duration) *script { s.now = s.now.Add(d); return s }

func (s *script) tries(want int) *script {
	s.t.Helper()
	if got := s.m.Next(s.now); got.Connect != want {
		s.t.Fatalf("next is %+v, want server %d", got, want)
	}
	return s
}

func (s *script) waits(want time.Duration) *script {
	s.t.Helper()
	got := s.m.Next(s.now)
	if got.Connect != -1 || got.Wait != want {
		s.t.Fatalf("next is %+v, want a pause of %v", got, want)
	}
	return s.after(got.Wait)
}

func (s *script) fails(i int) *script {
	s.t.Helper()
	s.tries(i)
	s.m.Failed(i, false, s.now)
	return s
}

func (s *script) connects(i int) *script {
	s.t.Helper()
	s.tries(i)
	s.m.Connected(i, false, s.now)
	return s
}

func (s *script) refuses(i int) *script {
	s.t.Helper()
	s.tries(i)
	s.m.Failed(i, true, s.now)
	return s
}

func (s *script) loses(i int) *script { s.m.Lost(i, s.now); return s }

func TestNext_ServersFail_TriesThemInOrder(t *testing.T) {
	newScript(t, 3).fails(0).fails(1).connects(2)
}

func TestNext_AllServersFail_PausesGrowBetweenRounds(t *testing.T) {
	s := newScript(t, 3)
	for _, pause := range []time.Duration{500, 1000, 2000, 4000, 8000, 16000, 30000, 30000} {
		s.fails(0).fails(1).fails(2).waits(pause * time.Millisecond)
	}
}

func TestNext_ConnectionLost_TriesLostServerLast(t *testing.T) {
	newScript(t, 3).connects(0).after(time.Hour).loses(0).fails(1).fails(2).fails(0).waits(500 * time.Millisecond)
}

func TestNext_SlowAttemptsAfterLoss_TriesLostServerLast(t *testing.T) {
	s := newScript(t, 3).connects(0).after(time.Hour).loses(0)
	s.after(20 * time.Second).fails(1).after(20 * time.Second).fails(2).fails(0).waits(500 * time.Millisecond)
}

func TestNext_SingleServerLost_RetriesAtOnceThenAfterPauses(t *testing.T) {
	newScript(t, 1).connects(0).after(time.Hour).loses(0).fails(0).
		waits(500 * time.Millisecond).fails(0).waits(time.Second).connects(0)
}

func TestNext_FailureLongAgo_UsesPriorityAgain(t *testing.T) {
	newScript(t, 3).fails(0).connects(1).after(time.Hour).loses(1).connects(0)
}

func TestNext_RecentFailure_ComesAfterOtherServers(t *testing.T) {
	s := newScript(t, 3).connects(0).after(time.Hour).loses(0).connects(1)
	s.after(31 * time.Second).loses(1) // stable: a new round begins, and the earlier failures no longer count
	s.connects(0)

	s = newScript(t, 3).connects(0).after(time.Hour).loses(0).fails(1).connects(2)
	s.after(40 * time.Second)
	s.m.Failed(0, false, s.now) // a failed switch
	s.after(time.Second).loses(2).tries(1).tries(0).tries(2)
}

func TestNext_ShortConnection_CountsAsFailureOfTheRound(t *testing.T) {
	s := newScript(t, 2)
	s.connects(0).after(time.Second).loses(0)
	s.connects(1).after(time.Second).loses(1)
	s.waits(500 * time.Millisecond)
	s.connects(0).after(time.Second).loses(0)
	s.connects(1).after(time.Second).loses(1)
	s.waits(time.Second)
}

func TestNext_ServersDropConnectionsAtOnce_BoundsAttempts(t *testing.T) {
	s := newScript(t, 3)
	s.m.random = func() float64 { return 0.999 } // the shortest pauses
	attempts := 0
	for end := s.now.Add(time.Minute); s.now.Before(end); {
		a := s.m.Next(s.now)
		if a.Connect < 0 {
			s.after(a.Wait)
			continue
		}
		attempts++
		s.m.Connected(a.Connect, false, s.now)
		s.m.Lost(a.Connect, s.now)
	}
	if attempts > 30 { // about eight rounds of three in a minute
		t.Errorf("%d attempts in a minute", attempts)
	}
}

func TestLost_StableConnection_ResetsPauses(t *testing.T) {
	s := newScript(t, 1).fails(0).waits(500 * time.Millisecond).fails(0).waits(time.Second)
	s.connects(0).after(time.Minute).loses(0).fails(0).waits(500 * time.Millisecond)
}

func TestConnected_StableConnectionReplaced_ResetsPausesAndRound(t *testing.T) {
	s := newScript(t, 3)
	for range 6 {
		s.fails(0).fails(1).fails(2).after(s.m.Next(s.now).Wait)
	}
	s.fails(0).fails(1).connects(2).after(time.Hour)
	s.m.Connected(1, true, s.now)
	s.after(time.Second).loses(1).fails(0).fails(2).waits(500 * time.Millisecond).fails(0).fails(1)
}

func TestPause_Random_IsInUpperHalf(t *testing.T) {
	for _, random := range []float64{0, 0.5, 0.999} {
		s := newScript(t, 1)
		s.m.random = func() float64 { return random }
		s.fails(0)
		a := s.m.Next(s.now)
		if a.Wait < 250*time.Millisecond || a.Wait > 500*time.Millisecond {
			t.Errorf("pause of %v", a.Wait)
		}
	}
}

func TestNext_PermanentRefusal_ExcludesServerForLongestPause(t *testing.T) {
	s := newScript(t, 2).refuses(0).fails(1).waits(500 * time.Millisecond)
	s.fails(1).waits(time.Second).fails(1).waits(2 * time.Second)
	s.after(30 * time.Second).fails(0).fails(1)
}

func TestNext_AllRefusePermanently_TriesOncePerLongestPause(t *testing.T) {
	s := newScript(t, 2).refuses(0).after(time.Second).refuses(1)
	s.waits(500 * time.Millisecond).waits(28500 * time.Millisecond)
	s.refuses(0).waits(time.Second).refuses(1)
}

func TestRequest_Server_IsTriedFirst(t *testing.T) {
	s := newScript(t, 3).requests(2)
	s.fails(2).fails(0).fails(1).waits(500 * time.Millisecond)
	s.withdraws().connects(0)
}
