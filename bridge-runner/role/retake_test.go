// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// After a fence, the preferred member activates again after the timeout. The other one waits twice as long,
// and longer each time: the members do not end each other's sessions at a high rate. After a long time
// without a fence, for example if its peer has no power, its wait is short again.
func TestPair_FencedAndCut_ActivatesAgainAfterGrowingPauses(t *testing.T) {
	for _, tt := range []struct {
		preferred bool
		waits     []time.Duration
	}{
		{true, []time.Duration{time.Minute, time.Minute, time.Minute}},
		{false, []time.Duration{2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute}},
	} {
		s := pairScript(t, tt.preferred, time.Minute)
		s.does(DialFailed{To: ID{Pod: peer.Pod}, Dead: true}, Activate{Term{0, 1}}, Announce{})
		s.does(PeerConnected{peer, Announcement{State: Standby, Warm: true}}, Query{}, Announce{})
		s.does(PeerEnded{From: peer}, Dial{}).does(DialFailed{To: peer})
		s.after(5 * time.Minute)
		for i, want := range tt.waits {
			if got := s.retake(); got != want {
				t.Errorf("preferred: %t: wait %d is %s, want %s", tt.preferred, i, got, want)
			}
			s.after(time.Minute)
		}
		s.after(longestRetake)
		if got, want := s.retake(), tt.waits[0]; got != want {
			t.Errorf("preferred: %t: after a long time, the wait is %s, want %s", tt.preferred, got, want)
		}
	}
}

// retake ends a session while the other member does not answer, and returns the time until the bridges start
// again, in seconds.
func (s *script) retake() time.Duration {
	s.t.Helper()
	ended := s.now
	s.m.Step(SessionEnded{"x", true}, s.now)
	for s.now.Sub(ended) < time.Hour {
		s.m.Step(DialFailed{To: peer}, s.now)
		for _, a := range s.after(time.Second).m.Step(Tick{}, s.now) {
			switch a.(type) {
			case Resume, Permit:
				s.t.Fatalf("%T without an answer", a)
			case Activate:
				return s.now.Sub(ended)
			}
		}
	}
	return 0
}

// timeoutWorld returns a pair with a short timeout whose members are connected, one minute after their start.
func timeoutWorld(logs bool, random *rand.Rand) *world {
	w := newWorld(2, 1, random)
	w.logs, w.pair = logs, &Pair{Timeout: duration, Born: 1}
	for _, p := range w.pods {
		w.start(p)
	}
	w.run(time.Minute)
	return w
}

// forwards reports whether a process has the sessions at all servers, as the servers see it.
func (w *world) forwards() bool {
	for _, s := range w.servers {
		if s.holder == nil || s.holder != w.servers[0].holder {
			return false
		}
	}
	return true
}

// lostWorld returns a world in which the machine of the preferred member is lost, and servers restart.
func lostWorld(logs bool) *world {
	w := timeoutWorld(logs, nil)
	w.must("lose the node", w.pods[0])
	w.run(2*duration + 2*time.Second)
	for i := range 10 {
		if !w.forwards() || w.servers[0].holder != w.pods[1].proc {
			w.violate("the member that lives does not forward in round %d", i)
		}
		w.run(20 * time.Minute)
		w.restartServer(i%2, time.Second)
		w.run(2*duration + 2*time.Second)
	}
	w.settle()
	return w
}

func TestPair_PeerHasNoPower_ContinuesWhenServersRestart(t *testing.T) {
	if w := lostWorld(false); w.fault != "" {
		fail(t, "lost", func() *world { return lostWorld(true) })
	}
}

// cutWorld returns a world whose members were cut from each other for hours, while servers restart.
func cutWorld(seed uint64, logs bool) *world {
	random := rand.New(rand.NewPCG(seed, 3))
	w := timeoutWorld(logs, random)
	w.must("cut the links", w.pods[0])
	w.run(time.Hour)
	const restarts, hours = 4, 3
	connects, seconds := w.connects, 0
	for range restarts {
		w.restartServer(random.IntN(2), time.Second)
		for range hours * 3600 / restarts {
			w.run(time.Second)
			if w.forwards() {
				seconds++
			}
		}
	}
	// Each member takes over at most once in ten minutes and after each restart, and connects to two servers.
	if n, most := w.connects-connects, 2*2*(hours*6+restarts+1); n > most {
		w.violate("the servers accept %d sessions, want at most %d", n, most)
	}
	if seconds < hours*3600*9/10 {
		w.violate("the bridge forwards for %d of %d seconds", seconds, hours*3600)
	}
	w.settle()
	return w
}

func TestPair_CutForHours_TakesOverAtALowRateAndForwards(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+uint64(*schedules)/10; seed++ {
		if w := cutWorld(seed, false); w.fault != "" {
			fail(t, fmt.Sprintf("-seed=%d", seed), func() *world { return cutWorld(seed, true) })
		}
	}
}

// A member that steps down, and is frozen again, cannot hear the other member meanwhile. The wait begins again.
func TestPair_FrozenAgainWhileSteppedDown_WaitsForTheWholeTimeout(t *testing.T) {
	const timeout = time.Minute
	s := pairScript(t, true, timeout)
	s.does(DialFailed{To: ID{Pod: peer.Pod}, Dead: true}, Activate{Term{0, 1}}, Announce{})
	s.does(PeerConnected{peer, Announcement{State: Standby, Warm: true}}, Query{}, Announce{})
	s.does(PeerEnded{From: peer}, Dial{}).does(DialFailed{To: peer})
	s.m.Step(Froze{}, s.now)
	s.is(SteppedDown).after(2 * timeout)
	continued := s.now
	for s.m.Step(Froze{}, s.now); s.m.State() == SteppedDown && s.now.Sub(continued) < time.Hour; {
		s.after(time.Second).m.Step(DialFailed{To: peer}, s.now)
	}
	if wait := s.now.Sub(continued); wait != timeout {
		t.Errorf("the member activates %s after the freeze, want %s", wait, timeout)
	}
}

// The other machine says goodbye, starts again, and becomes active by its timeout while this member is frozen. When
// this member continues, it reads the goodbye first.
func TestPair_GoodbyeReadAfterAFreeze_ProvesNothing(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Minute} {
		frozen := func() *script {
			s := pairScript(t, true, timeout)
			s.does(DialFailed{To: ID{Pod: peer.Pod}, Dead: true}, Activate{Term{0, 1}}, Announce{})
			s.m.Step(PeerConnected{peer, Announcement{State: Standby, Warm: true}}, s.now)
			s.after(2*time.Minute).m.Step(Froze{}, s.now)
			return s.is(SteppedDown)
		}
		s := frozen()
		s.does(PeerGoodbye{peer}, Dial{}).is(SteppedDown)
		s.m.Step(PeerConnected{ID{peer.Pod, "2"}, Announcement{State: Active, Term: Term{0, 5}}}, s.now)
		s.is(Standby)

		s = frozen()
		s.does(PeerGoodbye{peer}, Dial{})
		s.m.Step(DialFailed{To: peer, Dead: true}, s.now)
		s.is(Active)
	}
}

// A Dial was refused before the freeze, and its result is read afterwards.
func TestPair_RefusalReadAfterAFreeze_ProvesNothing(t *testing.T) {
	s := pairScript(t, true, time.Minute)
	s.does(DialFailed{To: ID{Pod: peer.Pod}, Dead: true}, Activate{Term{0, 1}}, Announce{})
	s.m.Step(PeerConnected{peer, Announcement{State: Standby, Warm: true}}, s.now)
	s.does(PeerEnded{From: peer}, Dial{})
	s.after(2*time.Minute).m.Step(Froze{}, s.now)
	s.does(DialFailed{To: peer, Dead: true}, Dial{}).is(SteppedDown)
	s.m.Step(DialFailed{To: peer, Dead: true}, s.now)
	s.is(Active)
}

// oftenCutWorld returns a pair whose members are often cut from each other for so long that they take over by their
// timeouts. Their clocks differ, so that each of the two claims may be the higher one when they meet.
func oftenCutWorld(seed uint64, logs bool) *world {
	random := rand.New(rand.NewPCG(seed, 4))
	w := newWorld(2, 1, random)
	w.logs, w.pair = logs, &Pair{Timeout: duration, Born: 1}
	w.pods[random.IntN(2)].clock = 1 + random.Uint64N(3)
	for _, p := range w.pods {
		w.start(p)
	}
	w.run(10 * time.Second)
	for range 3 + random.IntN(10) {
		names := []string{
			"cut the links", "cut the links", "heal the links", "heal the links", "lose the packets to the pod", "freeze", "continue",
			"restart a server", "reset the connections",
		}
		w.must(names[random.IntN(len(names))], w.pods[random.IntN(2)])
		w.run(time.Duration(random.Int64N(int64(3 * duration))))
	}
	w.settle()
	return w
}

// A member continues the sessions that it knows only if the other one has not used them. This also applies if the
// other one has become active and has stood down again while they were cut from each other.
func TestPair_OftenSeparated_NoMemberContinuesSessionsThatTheOtherHasUsed(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+uint64(*schedules); seed++ {
		if w := oftenCutWorld(seed, false); w.fault != "" {
			fail(t, fmt.Sprintf("-seed=%d", seed), func() *world { return oftenCutWorld(seed, true) })
		}
	}
}

// The other member has become active and has stood down again while the members were cut from each other. This member
// learns it before or after the end of its session, or only by the number of activations.
func TestPair_OtherHasBeenActiveWhileCut_BridgesStartAgain(t *testing.T) {
	standby := Announcement{State: Standby, Warm: true}
	was := Announcement{State: Standby, Warm: true, Activations: 1}
	active := Announcement{State: Active, Term: Term{0, 0}, Activations: 1}
	ended := SessionEnded{"x", false}
	for name, tt := range map[string]struct {
		events []Event
		starts bool
	}{
		"it says that it is active":             {[]Event{ended, PeerConnected{peer, active}, PeerHeartbeat{peer, was}}, true},
		"it says so before the session ends":    {[]Event{PeerConnected{peer, active}, ended, PeerHeartbeat{peer, was}}, true},
		"it has stood down":                     {[]Event{ended, PeerConnected{peer, was}}, true},
		"it has stood down before the end":      {[]Event{PeerConnected{peer, was}, ended}, true},
		"it has not been active":                {[]Event{ended, PeerConnected{peer, standby}}, false},
		"another process that was never active": {[]Event{PeerConnected{ID{peer.Pod, "2"}, standby}, ended}, false},
		"another process that has been active":  {[]Event{PeerConnected{ID{peer.Pod, "2"}, was}, ended}, true},
	} {
		s := pairScript(t, true, duration)
		s.does(DialFailed{To: ID{Pod: peer.Pod}, Dead: true}, Activate{Term{0, 1}}, Announce{})
		s.does(PeerConnected{peer, standby}, Query{}, Announce{})
		s.does(PeerEnded{From: peer}, Dial{}).does(DialFailed{To: peer}).after(3 * duration)
		starts, resumes := false, false
		step := func(e Event) {
			for _, a := range s.m.Step(e, s.now) {
				switch a.(type) {
				case Activate:
					starts = true
				case Resume, Permit:
					resumes = true
				}
			}
		}
		for _, e := range tt.events {
			step(e)
		}
		p := s.m.others()[0]
		step(PeerAnswered{From: p.id, Said: p.said, Asked: p.queried})
		if starts != tt.starts || resumes == tt.starts {
			t.Errorf("%s: the bridges start again: %v, continue: %v", name, starts, resumes)
		}
	}
}
