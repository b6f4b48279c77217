// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/internal/window"
)

const (
	testInterval = 30 * time.Second
	testStable   = time.Minute
)

// newStandby returns a script whose machine probes and fails back.
func newStandby(t *testing.T, servers int) *script {
	s := newScript(t, servers)
	s.m.cfg.ProbeInterval, s.m.cfg.Failback, s.m.cfg.Stable = testInterval, true, testStable
	s.m.random = func() float64 { return 0.5 } // no jitter
	return s
}

// onBackup connects to server i after all better servers have failed.
func (s *script) onBackup(i int) *script {
	s.t.Helper()
	for j := range i {
		s.fails(j)
	}
	return s.connects(i)
}

// probes advances the time until exactly these servers are probed, and reports the
// result of their probes.
func (s *script) probes(passed bool, want ...int) *script {
	s.t.Helper()
	for range 10 {
		out := s.m.NextStandby(s.now)
		if out.Switch >= 0 {
			s.t.Fatalf("fails back to %d, want probes of %v", out.Switch, want)
		}
		if len(out.Probe) > 0 {
			if !slices.Equal(out.Probe, want) {
				s.t.Fatalf("probes %v, want %v", out.Probe, want)
			}
			for _, i := range out.Probe {
				s.m.Probed(i, passed, false, s.now)
			}
			return s
		}
		if out.Wait <= 0 {
			s.t.Fatal("waits for an event that never comes")
		}
		s.after(out.Wait)
	}
	s.t.Fatal("no probes")
	return s
}

// standsBy advances the time by d and fails if the machine fails back. All probes pass.
func (s *script) standsBy(d time.Duration) *script {
	s.t.Helper()
	for end := s.now.Add(d); ; {
		out := s.m.NextStandby(s.now)
		if out.Switch >= 0 {
			s.t.Fatalf("fails back to %d with %v left", out.Switch, end.Sub(s.now))
		}
		for _, i := range out.Probe {
			s.m.Probed(i, true, false, s.now)
		}
		if len(out.Probe) == 0 {
			if out.Wait <= 0 || !s.now.Add(out.Wait).Before(end) {
				s.now = end
				return s
			}
			s.after(out.Wait)
		}
	}
}

// failsBack fails the test unless the machine fails back to a server now.
func (s *script) failsBack(to int) *script {
	s.t.Helper()
	out := s.m.NextStandby(s.now)
	if len(out.Probe) > 0 && out.Switch < 0 { // the last probe before the failback
		for _, i := range out.Probe {
			s.m.Probed(i, true, false, s.now)
		}
		out = s.m.NextStandby(s.now)
	}
	if out.Switch != to {
		s.t.Fatalf("%+v, want a failback to %d", out, to)
	}
	return s
}

// failback makes the machine fail back to a server and connects to it.
func (s *script) failback(to int) *script {
	s.t.Helper()
	s.failsBack(to).m.Connected(to, true, s.now)
	return s
}

func TestProbe_StandbyServers_OncePerInterval(t *testing.T) {
	s := newStandby(t, 3).connects(0)
	start := s.now
	s.probes(true, 1, 2).probes(false, 1, 2).probes(true, 1, 2)
	if took, want := s.now.Sub(start), 5*testInterval/2; took != want { // the first is at a random time within one interval
		t.Errorf("three probes took %v, want %v", took, want)
	}
}

func TestProbe_Jitter_IsAFifthOfTheInterval(t *testing.T) {
	for _, c := range []struct {
		random float64
		want   time.Duration
	}{{0, 24 * time.Second}, {0.5, 30 * time.Second}, {0.999, 36 * time.Second}} {
		s := newStandby(t, 2).connects(0).probes(true, 1)
		s.m.random = func() float64 { return c.random }
		s.probes(true, 1) // its time was chosen before
		start := s.now
		s.probes(true, 1)
		if s.now.Sub(start).Round(time.Second) != c.want {
			t.Errorf("the next probe came after %v, want %v", s.now.Sub(start), c.want)
		}
	}
}

func TestProbe_UnderWay_IsNotRepeated(t *testing.T) {
	s := newStandby(t, 2).connects(0)
	s.after(s.m.NextStandby(s.now).Wait)
	if out := s.m.NextStandby(s.now); !slices.Equal(out.Probe, []int{1}) {
		t.Fatalf("%+v", out)
	}
	if out := s.after(time.Hour).m.NextStandby(s.now); len(out.Probe) > 0 {
		t.Errorf("%+v", out)
	}
}

func TestProbe_IntervalZero_ProbesNothing(t *testing.T) {
	s := newStandby(t, 2)
	s.m.cfg.ProbeInterval, s.m.cfg.Failback = 0, false
	if out := s.connects(0).m.NextStandby(s.now); len(out.Probe) > 0 || out.Wait != 0 || out.Switch >= 0 {
		t.Errorf("%+v", out)
	}
}

func TestFailback_BetterServerStable_SwitchesToIt(t *testing.T) {
	newStandby(t, 2).onBackup(1).probes(true, 0).standsBy(testStable).failback(0).standsBy(time.Hour)
}

func TestFailback_FailedProbe_RestartsStableTime(t *testing.T) {
	newStandby(t, 2).onBackup(1).probes(true, 0).probes(false, 0).probes(true, 0).standsBy(testStable).failsBack(0)
}

func TestFailback_SeveralStableServers_ChoosesBest(t *testing.T) {
	newStandby(t, 4).onBackup(3).probes(true, 0, 1, 2).standsBy(testStable).failsBack(0)
	s := newStandby(t, 4).onBackup(3).probes(true, 0, 1, 2)
	s.m.Probed(0, false, false, s.now)
	s.m.Probed(0, true, false, s.after(time.Second).now)
	s.standsBy(testStable - time.Second).failback(1).standsBy(time.Second).failsBack(0)
}

func TestFailback_WorseServer_IsIgnored(t *testing.T) {
	newStandby(t, 3).onBackup(1).probes(true, 0, 2).standsBy(testStable).failsBack(0) // and not to 2 earlier
	newStandby(t, 3).connects(0).standsBy(time.Hour)
}

func TestFailback_PreferredServer_IsUsedAndKept(t *testing.T) {
	s := newStandby(t, 3).connects(0).requests(2).probes(false, 2).answers(ProbeFailed)
	s.probes(true, 1).probes(true, 2).standsBy(testStable).failback(2).standsBy(time.Hour)
	s.withdraws().failsBack(0) // it is already stable
}

func TestFailback_Disabled_KeepsServerInUse(t *testing.T) {
	s := newStandby(t, 2)
	s.m.cfg.Failback = false
	s.onBackup(1).standsBy(time.Hour)
}

func TestFailback_ServerFlaps_DoublesStableTime(t *testing.T) {
	s := newStandby(t, 2).onBackup(1).probes(true, 0).standsBy(testStable)
	for _, hold := range []time.Duration{2, 4, 8, 16, 32, 64, 64} {
		s.failback(0).after(time.Second).loses(0).connects(1).probes(true, 0).standsBy(hold * testStable)
	}
	// After it has been in use for that long, the time is the original one again.
	s.failback(0).after(64*testStable).loses(0).connects(1).probes(true, 0).standsBy(testStable).failsBack(0)
}

func TestFailback_SwitchFails_DoublesStableTime(t *testing.T) {
	s := newStandby(t, 2).onBackup(1).probes(true, 0).standsBy(testStable).failsBack(0)
	s.m.Failed(0, false, s.now)
	s.probes(true, 0).standsBy(2 * testStable).failsBack(0)
}

func TestFailback_LongUseThenReplaced_ResetsStableTime(t *testing.T) {
	s := newStandby(t, 2).onBackup(1).probes(true, 0).standsBy(testStable)
	s.failback(0).after(time.Second).loses(0).connects(1).probes(true, 0).standsBy(2 * testStable)
	s.failback(0).after(time.Hour)
	s.m.Connected(1, false, s.now) // on request
	s.probes(true, 0).standsBy(testStable).failsBack(0)
}

func TestNext_OldRefusalAndFailedProbes_TriesServer(t *testing.T) {
	s := newStandby(t, 2).refuses(0).connects(1).probes(false, 0).probes(false, 0).probes(false, 0)
	s.loses(1).fails(0).fails(1).waits(375 * time.Millisecond)
}

func TestProbe_PermanentRefusal_OncePerLongestPause(t *testing.T) {
	s := newStandby(t, 2)
	s.m.cfg.Stable = 4 * time.Second
	s.onBackup(1).probes(false, 0)
	s.m.Probed(0, false, true, s.now)
	start := s.now
	s.probes(false, 0)
	if took := s.now.Sub(start); took != s.m.cfg.RetryMax {
		t.Errorf("it is probed again after %v", took)
	}
}

func TestFailback_FirstLoss_IsNotFlapping(t *testing.T) {
	newStandby(t, 2).connects(0).after(time.Second).loses(0).connects(1).probes(true, 0).standsBy(testStable).failsBack(0)
}

func TestNext_FailedProbes_TriesServerLast(t *testing.T) {
	newStandby(t, 3).connects(0).after(time.Hour).probes(false, 1, 2).after(time.Second).loses(0).tries(1)
	s := newStandby(t, 3).connects(0).after(time.Hour)
	s.after(s.m.NextStandby(s.now).Wait).m.NextStandby(s.now)
	s.m.Probed(1, false, false, s.now)
	s.m.Probed(2, true, false, s.now)
	s.after(time.Second).loses(0).fails(2).fails(1).fails(0)
}

func TestProbe_Passed_ClearsFailure(t *testing.T) {
	newStandby(t, 3).fails(0).fails(1).connects(2).probes(true, 0, 1).loses(2).waits(375 * time.Millisecond)
	newStandby(t, 3).fails(0).fails(1).connects(2).probes(true, 0, 1).after(time.Minute).loses(2).tries(0)
}

func TestFailback_LatestProbeIsOld_ProbesAgainFirst(t *testing.T) {
	s := newStandby(t, 2).onBackup(1).probes(true, 0).standsBy(testStable)
	if out := s.m.NextStandby(s.now); out.Switch >= 0 || !slices.Equal(out.Probe, []int{0}) {
		t.Fatalf("%+v", out)
	}
	s.m.Probed(0, false, false, s.now)
	s.probes(true, 0).standsBy(testStable).failsBack(0)
}

func TestFailback_ShortStableTime_ProbesMoreOften(t *testing.T) {
	s := newStandby(t, 2)
	s.m.cfg.Stable = 4 * time.Second
	start := s.onBackup(1).now
	s.probes(true, 0).standsBy(4 * time.Second).failsBack(0)
	if took := s.now.Sub(start); took > 6*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestFailback_OutsideWindow_WaitsUntilItOpens(t *testing.T) {
	s := newStandby(t, 2)
	opens := s.now.Add(5 * time.Hour)
	s.m.cfg.Windows = []window.Window{{Length: time.Hour, Next: func(after time.Time) time.Time {
		if after.Before(opens) {
			return opens
		}
		return time.Time{}
	}}}
	s.onBackup(1)
	s.standsBy(opens.Sub(s.now)).failsBack(0)
	s.after(time.Hour - time.Second).failsBack(0)
	s.after(time.Second).standsBy(100 * time.Hour)
}
