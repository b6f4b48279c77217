// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"testing"
	"time"
)

// requests requests a server without force.
func (s *script) requests(i int) *script { s.m.Requested(i, false, s.now); return s }

// forces requests a server with force.
func (s *script) forces(i int) *script { s.m.Requested(i, true, s.now); return s }

func (s *script) withdraws() *script { s.m.Withdrawn(s.now); return s }

// answers fails unless the next step for the standby servers has this answer.
func (s *script) answers(want Answer) *script {
	s.t.Helper()
	if got := s.m.NextStandby(s.now); got.Answer != want || got.Switch >= 0 {
		s.t.Fatalf("next is %+v, want answer %d", got, want)
	}
	return s
}

// starts fails unless exactly this server is probed now.
func (s *script) starts(i int) *script {
	s.t.Helper()
	if got := s.m.NextStandby(s.now); !slices.Equal(got.Probe, []int{i}) || got.Switch >= 0 || got.Answer != NoAnswer {
		s.t.Fatalf("next is %+v, want a probe of %d", got, i)
	}
	return s
}

// ends reports the result of a probe.
func (s *script) ends(i int, passed bool) *script { s.m.Probed(i, passed, false, s.now); return s }

// isIdle fails if there is something to do for the standby servers now.
func (s *script) isIdle() *script {
	s.t.Helper()
	if got := s.m.NextStandby(s.now); len(got.Probe) > 0 || got.Switch >= 0 || got.Answer != NoAnswer {
		s.t.Fatalf("next is %+v, want nothing to do", got)
	}
	return s
}

// begins fails unless the machine begins a requested switch to a server now.
func (s *script) begins(to int) *script {
	s.t.Helper()
	if got := s.m.NextStandby(s.now); got.Switch != to || !got.Requested || got.Answer != NoAnswer {
		s.t.Fatalf("next is %+v, want a requested switch to %d", got, to)
	}
	return s
}

// switches reports that the switch to a server has succeeded.
func (s *script) switches(to int, failedBack bool, want Answer) *script {
	s.t.Helper()
	if got := s.m.Connected(to, failedBack, s.now); got != want {
		s.t.Fatalf("answer %d, want %d", got, want)
	}
	return s
}

// failsToSwitch reports that the switch to a server has failed.
func (s *script) failsToSwitch(to int, permanent bool, want Answer) *script {
	s.t.Helper()
	if got := s.m.Failed(to, permanent, s.now); got != want {
		s.t.Fatalf("answer %d, want %d", got, want)
	}
	return s
}

// pauses fails unless the machine is between two rounds. It does not advance the time.
func (s *script) pauses() *script {
	s.t.Helper()
	if got := s.m.Next(s.now); got.Connect >= 0 || got.Wait <= 0 {
		s.t.Fatalf("next is %+v, want a pause", got)
	}
	return s
}

func TestRequest_Situations_AreAnswered(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(s *script) // three servers; only requests start probes
	}{
		{"for the active server is done", func(s *script) {
			s.connects(0).requests(0).answers(InUse).isIdle()
		}},
		{"for the active server with force is done", func(s *script) {
			s.connects(0).forces(0).answers(InUse).isIdle()
		}},
		{"for a server that is up is done after a probe", func(s *script) {
			s.connects(0).requests(1).starts(1).isIdle().ends(1, true).begins(1).switches(1, false, Switched).isIdle()
		}},
		{"with force switches without a probe", func(s *script) {
			s.connects(0).forces(1).begins(1).switches(1, false, Switched).isIdle()
		}},
		{"for a server whose probe fails is refused", func(s *script) {
			s.connects(0).requests(1).starts(1).ends(1, false).answers(ProbeFailed).isIdle()
		}},
		{"for a server whose connection fails is refused", func(s *script) {
			s.connects(0).requests(1).starts(1).ends(1, true).begins(1).failsToSwitch(1, false, ConnectFailed).isIdle()
		}},
		{"the same one again after a refusal is a new request", func(s *script) {
			s.connects(0).requests(1).starts(1).ends(1, false).answers(ProbeFailed)
			s.requests(1).starts(1).ends(1, true).begins(1)
		}},
		{"for another server during the probe forgets the probe", func(s *script) {
			s.connects(0).requests(1).starts(1).requests(2).starts(2)
			s.ends(1, true).isIdle().ends(2, true).begins(2).switches(2, false, Switched)
		}},
		{"waits for the end of an earlier probe", func(s *script) {
			s.connects(0).requests(1).starts(1)
			s.requests(1).isIdle().ends(1, false).starts(1).ends(1, true).begins(1)
		}},
		{"withdrawn before its probe ends", func(s *script) {
			s.connects(0).requests(1).starts(1).withdraws().ends(1, true).isIdle()
		}},
		{"withdrawn during the switch is not answered", func(s *script) {
			s.connects(0).forces(1).begins(1).withdraws().switches(1, false, NoAnswer).isIdle()
		}},
		{"withdrawn restores the order", func(s *script) {
			s.forces(2).connects(2).answers(InUse).withdraws().after(time.Minute).loses(2).connects(0)
		}},
		{"done remains preferred", func(s *script) {
			s.requests(2).connects(2).answers(InUse).after(time.Minute).loses(2).connects(0)
			s.after(time.Minute).loses(0).connects(2).isIdle()
		}},
		{"while all servers are down ends the pause", func(s *script) {
			s.fails(0).fails(1).fails(2).pauses().requests(1).fails(1).fails(0).fails(2).waits(time.Second)
			s.connects(1).answers(InUse)
		}},
		{"withdrawn while all servers are down ends the pause", func(s *script) {
			s.requests(1).fails(1).fails(0).fails(2).pauses().withdraws().fails(0)
		}},
		{"during a round skips the pause after it", func(s *script) {
			s.fails(0).fails(1).tries(2).requests(0)
			s.m.Failed(2, false, s.now)
			s.waits(0).fails(0).fails(1).fails(2).waits(time.Second)
		}},
		{"during a round that ends with a connection skips no later pause", func(s *script) {
			s.fails(0).tries(1).requests(1)
			s.m.Connected(1, false, s.now)
			s.answers(InUse).loses(1).fails(2).waits(500 * time.Millisecond)
		}},
		{"while a server is in use skips no pause", func(s *script) {
			s.connects(0).forces(1).loses(0).fails(1).fails(2).waits(500 * time.Millisecond)
		}},
		{"set before a restart is used first", func(s *script) {
			s.requests(2).connects(2).answers(InUse).isIdle()
		}},
		{"set before a restart for a server that is down is refused", func(s *script) {
			s.requests(2).fails(2).connects(0).starts(2).ends(2, false).answers(ProbeFailed).isIdle()
		}},
		{"set before a restart for a server that comes up is done", func(s *script) {
			s.requests(2).fails(2).connects(0).starts(2).ends(2, true).begins(2).switches(2, false, Switched)
		}},
		{"probe ends after the loss: another server is used first", func(s *script) {
			s.connects(0).requests(1).starts(1).loses(0).ends(1, false)
			s.fails(2).fails(1).waits(500 * time.Millisecond).fails(1).connects(0).answers(ProbeFailed)
		}},
		{"probe ends after the loss: the requested server is used", func(s *script) {
			s.connects(0).requests(1).starts(1).loses(0).ends(1, false)
			s.fails(2).connects(1).answers(InUse)
		}},
		{"for a server that refuses permanently is refused", func(s *script) {
			s.connects(0).requests(1).starts(1)
			s.m.Probed(1, false, true, s.now)
			s.answers(ProbeFailed).isIdle()
		}},
		{"with force for a server that refuses permanently is refused", func(s *script) {
			s.connects(0).forces(1).begins(1).failsToSwitch(1, true, ConnectFailed).isIdle()
			s.after(time.Second).loses(0).fails(2).waits(500 * time.Millisecond) // 0 has been tried
		}},
		{"while all servers refuse permanently does not try earlier", func(s *script) {
			s.refuses(0).refuses(1).refuses(2).waits(500 * time.Millisecond)
			s.pauses().forces(1).waits(29500 * time.Millisecond).refuses(1)
		}},
		{"while the runner ends is not carried out", func(s *script) {
			s.connects(0)
			s.m.StopSwitching()
			s.forces(1).isIdle().requests(1).isIdle().requests(0).isIdle()
		}},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(newScript(t, 3)) })
	}
}

func TestRequest_DuringFailback_IsCarriedOutAfterIt(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(s *script) // three servers; 1 is in use, and is being drained for the failback to 0
	}{
		{"for another server", func(s *script) {
			s.requests(2).switches(0, true, NoAnswer).after(2*time.Second).starts(2).ends(2, true).begins(2).switches(2, false, Switched)
		}},
		{"for the target", func(s *script) {
			s.requests(0).switches(0, true, Switched).isIdle()
		}},
		{"for the server that is replaced", func(s *script) {
			s.forces(1).switches(0, true, NoAnswer).begins(1).switches(1, false, Switched)
		}},
		{"for the target, which fails", func(s *script) {
			s.requests(0).failsToSwitch(0, false, ConnectFailed).isIdle()
		}},
		{"for another server; the target fails", func(s *script) {
			s.requests(2).failsToSwitch(0, false, NoAnswer).after(2 * time.Second).starts(2)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.run(newStandby(t, 3).onBackup(1).probes(true, 0, 2).standsBy(testStable).failsBack(0))
		})
	}
}

// The requested server comes before all others, so that it could also be the target of a failback.
// The switch must follow from the request: it needs the probe for the request, and is reported as requested.
func TestRequest_ForStableServer_PrecedesFailback(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(s *script) // three servers; 0 is in use, and 1 and 2 have just passed a probe and are stable
	}{
		{"whose probe passes", func(s *script) {
			s.requests(1).starts(1).isIdle().ends(1, true).begins(1).switches(1, false, Switched)
		}},
		{"whose probe fails", func(s *script) {
			s.requests(1).starts(1).isIdle().ends(1, false).answers(ProbeFailed).isIdle()
		}},
		{"which is withdrawn after the switch", func(s *script) {
			s.requests(1).starts(1).ends(1, true).begins(1).switches(1, false, Switched).withdraws()
			s.probes(true, 0).standsBy(testStable).failsBack(0)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.run(newStandby(t, 3).connects(0).probes(true, 1, 2).standsBy(testStable).probes(true, 1, 2))
		})
	}
}

func TestNext_WhileItWaits_ReturnsTheRestOfTheWait(t *testing.T) {
	s := newScript(t, 1).fails(0).pauses().after(200 * time.Millisecond)
	s.waits(300 * time.Millisecond).fails(0).waits(time.Second)
}

func TestStopSwitching_StableServer_IsNotUsed(t *testing.T) {
	s := newStandby(t, 2).onBackup(1).probes(true, 0).standsBy(testStable).failsBack(0)
	s.m.StopSwitching()
	s.standsBy(time.Hour)
}
