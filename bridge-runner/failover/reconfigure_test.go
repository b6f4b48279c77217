// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"testing"
	"time"
)

// lists changes the list of servers. The settings stay.
func (s *script) lists(kept ...int) *script {
	s.m.Reconfigured(s.m.cfg, kept, s.now)
	return s
}

// set changes the settings. The list of servers stays.
func (s *script) set(change func(*Config)) *script {
	cfg, kept := s.m.cfg, make([]int, len(s.m.servers))
	change(&cfg)
	for i := range kept {
		kept[i] = i
	}
	s.m.Reconfigured(cfg, kept, s.now)
	return s
}

// leaves fails unless the machine leaves the removed server for this one now.
func (s *script) leaves(to int) *script {
	s.t.Helper()
	if got := s.m.NextStandby(s.now); got.Switch != to || !got.Removed || got.Requested {
		s.t.Fatalf("next is %+v, want to leave for server %d", got, to)
	}
	return s
}

// cannotLeave fails unless the switch away from the removed server to this one is due and fails.
func (s *script) cannotLeave(to int) *script {
	s.t.Helper()
	s.leaves(to).m.Failed(to, false, s.now)
	return s
}

// stays fails if there is anything to do now, and advances the time to the next step, which
// must be due after d.
func (s *script) stays(d time.Duration) *script {
	s.t.Helper()
	if got := s.m.NextStandby(s.now); got.Switch >= 0 || len(got.Probe) > 0 || got.Wait != d {
		s.t.Fatalf("next is %+v, want to wait for %v", got, d)
	}
	return s.after(d)
}

func TestReconfigured_ListChanges_KeepsHistoryOfServers(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(s *script) // three servers; nothing is probed
	}{
		{"a recent failure stays the last choice", func(s *script) {
			s.connects(0).after(time.Hour).loses(0).connects(1).lists(2, 0, 1).after(time.Second).loses(2).fails(0).fails(1)
		}},
		{"a new server has no failures", func(s *script) {
			s.fails(0).connects(1).lists(0, 1, noServer).after(time.Second).loses(1).tries(2)
		}},
		{"a tried server is not tried again in the round", func(s *script) {
			s.fails(0).fails(1).lists(1, 0, 2, noServer).fails(2).fails(3)
		}},
		{"a refusal is kept while a server is in use", func(s *script) {
			s.refuses(0).connects(1).lists(1, 0).after(time.Second).loses(0).waits(500 * time.Millisecond).fails(0).pauses()
		}},
		{"a cancelled attempt does not count", func(s *script) {
			s.tries(0).m.Cancelled(0)
			s.tries(0)
		}},
		{"the flag of a failback moves with the server", func(s *script) {
			s.m.cfg.Stable = time.Minute
			s.fails(0).connects(1)
			s.m.Connected(0, true, s.now)
			s.lists(1, 2, 0).after(time.Second).loses(2)
			if got := s.m.servers[2].flaps; got != 1 {
				s.t.Errorf("%d flaps, want 1", got)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(newScript(t, 3)) })
	}
}

func TestReconfigured_NoServerInUse_EndsWait(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(s *script) // two servers
	}{
		{"between two rounds", func(s *script) {
			s.fails(0).fails(1).pauses().lists(1, noServer).fails(0).fails(1).pauses()
		}},
		{"during a round", func(s *script) {
			s.fails(0).lists(0, 1).fails(1).waits(0).fails(0).fails(1).pauses()
		}},
		{"while all servers refuse permanently", func(s *script) {
			s.refuses(0).refuses(1).waits(500*time.Millisecond).pauses().lists(0, 1).refuses(0).refuses(1).waits(time.Second).pauses()
		}},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(newScript(t, 2)) })
	}
}

func TestReconfigured_ServerInUseRemoved_LeavesItWhenAnotherWorks(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(s *script) // three servers; nothing is probed
	}{
		{"for the best server at once", func(s *script) {
			s.connects(0).lists(1, 2).leaves(0).switches(0, false, NoAnswer).isIdle()
		}},
		{"for the next if that fails", func(s *script) {
			s.connects(0).lists(1, 2).cannotLeave(0).leaves(1).switches(1, false, NoAnswer).isIdle()
		}},
		{"for a server that has failed recently at last", func(s *script) {
			s.fails(0).connects(1).lists(0, 2).leaves(1)
		}},
		{"again after growing pauses if all fail", func(s *script) {
			s.connects(0).lists(1, 2)
			for _, pause := range []time.Duration{30, 60, 120, 240, 480, 600, 600} {
				s.cannotLeave(0).cannotLeave(1).stays(pause * time.Second)
			}
		}},
		{"at once after the next change", func(s *script) {
			s.connects(0).lists(1, 2).cannotLeave(0).cannotLeave(1).lists(1, 0).leaves(0)
		}},
		{"not if it is in the list again", func(s *script) {
			s.connects(0).lists(1, 2).cannotLeave(0).lists(0, 2).isIdle()
			if s.m.active != 1 {
				s.t.Errorf("server %d is in use, want 1", s.m.active)
			}
		}},
		{"not before a server that refuses permanently may be tried again", func(s *script) {
			s.refuses(0).connects(1).lists(0).stays(30 * time.Second).leaves(0)
		}},
		{"not after switching has stopped", func(s *script) {
			s.connects(0).m.StopSwitching()
			s.lists(1, 2).isIdle()
		}},
		{"not if it is lost", func(s *script) {
			s.connects(0).lists(1, 2).cannotLeave(0).after(time.Hour).loses(2).fails(0).fails(1).waits(500 * time.Millisecond)
		}},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(newScript(t, 3)) })
	}
}

func TestReconfigured_ServerInUseRemoved_PassedProbeEndsPause(t *testing.T) {
	s := newStandby(t, 2).connects(0).lists(1).cannotLeave(0).after(s30).cannotLeave(0)
	s.probes(true, 0).stays(s30/2).leaves(0).switches(0, false, NoAnswer)
	s.isIdle()
}

// s30 is the time of a probe interval, and of the longest pause.
const s30 = 30 * time.Second

func TestReconfigured_ServersReordered_FailsBackByTheRules(t *testing.T) {
	s := newStandby(t, 3).connects(0).probes(true, 1, 2).lists(2, 0, 1)
	s.standsBy(testStable).failback(0).standsBy(time.Hour)

	s = newStandby(t, 3).connects(0).probes(true, 1, 2).standsBy(testStable).lists(2, 0, 1)
	s.failsBack(0) // it is already stable; one more probe comes before the switch
}

func TestReconfigured_Request_FollowsItsServer(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(s *script) // three servers; only requests start probes
	}{
		{"to another place", func(s *script) {
			s.connects(0).requests(2).starts(2).lists(2, 0, 1).isIdle().ends(0, true).begins(0).switches(0, false, Switched)
		}},
		{"that is in use", func(s *script) {
			s.connects(0).lists(1, 0).requests(1).answers(InUse).isIdle()
		}},
		{"and is withdrawn if it is removed", func(s *script) {
			s.connects(0).requests(2).starts(2).lists(0, 1).isIdle().after(time.Hour).loses(0).fails(1).fails(0)
		}},
		{"and is done if the removed server is left for it", func(s *script) {
			s.connects(0).requests(2).starts(2).lists(1, 2).leaves(1).switches(1, false, Switched).isIdle()
		}},
		{"and begins the switch if it is forced", func(s *script) {
			s.connects(0).forces(2).lists(1, 2).begins(1)
		}},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(newScript(t, 3)) })
	}
}

func TestReconfigured_ShorterTimes_ApplyFromNowOn(t *testing.T) {
	s := newStandby(t, 2)
	s.m.cfg.ProbeInterval = 24 * time.Hour
	s.connects(0).probes(true, 1)
	start := s.now
	s.set(func(c *Config) { c.ProbeInterval = time.Minute }).probes(true, 1)
	if took := s.now.Sub(start); took > time.Minute {
		t.Errorf("the next probe comes after %v", took)
	}

	s = newStandby(t, 2).onBackup(1).probes(true, 0)
	s.set(func(c *Config) { c.Stable = time.Second }).standsBy(time.Second).failsBack(0)

	s = newScript(t, 1).fails(0)
	s.set(func(c *Config) { c.RetryInitial = time.Second }).waits(0).fails(0).waits(2 * time.Second)
}

func TestReconfigured_ProbeUnderWay_BelongsToItsServer(t *testing.T) {
	s := newStandby(t, 3).connects(0)
	s.after(s.m.NextStandby(s.now).Wait)
	if out := s.m.NextStandby(s.now); !slices.Equal(out.Probe, []int{1, 2}) {
		t.Fatalf("%+v", out)
	}
	s.lists(0, 2, noServer)
	s.after(s.m.NextStandby(s.now).Wait).starts(2) // the new server; the probe of the other one is still under way
	s.ends(1, true).probes(true, 1)
}
