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
	s.does(PeerAnswered{From: peer, Said: said, Asked: s.m.seq}, Activate{Term{0, 1}}, Announce{}).is(Active)
	pairScript(t, false, 0).does(PeerConnected{peer, said}).is(Starting)
}

// The event in which a member becomes active does not always have the reason.
func TestReason_Pair_IsTheRuleThatApplies(t *testing.T) {
	next := ID{peer.Pod, "2"}
	active := PeerConnected{peer, Announcement{State: Active, Term: Term{0, 3}}}
	answer := PeerAnswered{From: peer, Said: Announcement{State: Standby}}
	for name, tt := range map[string]struct {
		events []Event
		want   Reason
	}{
		"the other one is not active": {[]Event{PeerConnected{peer, Announcement{State: Standby}}, answer}, NoneActive},
		"refused":                     {[]Event{active, PeerEnded{From: peer}, DialFailed{peer, true}}, PeerDead},
		"handed over":                 {[]Event{active, PeerHandedOver{peer, Term{0, 4}}}, HandedOver},
		"by hand":                     {[]Event{active, TakeOverRequested{}}, ByHand},
		"not reached":                 {[]Event{active, PeerEnded{From: peer}, Tick{}, DialFailed{peer, false}}, TimedOut},
		"another process answers":     {[]Event{active, PeerEnded{From: peer}, PeerConnected{next, Announcement{State: Starting}}, PeerAnswered{From: next, Said: Announcement{State: Standby}}}, NoneActive},
		"frozen and confirmed":        {[]Event{active, TakeOverRequested{}, PeerHeartbeat{peer, Announcement{State: Standby}}, Froze{}, answer, answer}, Confirmed},
	} {
		s := pairScript(t, true, time.Minute)
		for _, e := range tt.events {
			switch event := e.(type) {
			case PeerAnswered:
				event.Asked = s.m.know(event.From).queried
				e = event
			case Tick:
				s.now = s.now.Add(time.Minute - 1)
			case DialFailed:
				s.now = s.now.Add(1)
			}
			s.m.Step(e, s.now)
		}
		if got := s.m.Reason(); got != tt.want {
			t.Errorf("%s: the reason is %q, want %q; the state is %s", name, got, tt.want, s.m.State())
		}
	}
}

func TestPair_PeerIsActive_StandsByUntilProof(t *testing.T) {
	s := pairScript(t, true, 0).does(PeerConnected{peer, Announcement{State: Active, Term: Term{0, 3}}}, Announce{}).is(Standby)
	s.does(PeerEnded{From: peer}, Dial{})
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

// A user may have made the other member active by hand meanwhile. Otherwise the two end each other's sessions
// until they are connected.
func TestPair_FrozenWithoutTimeout_ContinuesWhenTheOtherCannotBeReached(t *testing.T) {
	standby := Announcement{State: Standby, Warm: true}
	frozen := func(dialing bool) *script {
		s := pairScript(t, true, 0).does(DialFailed{To: ID{Pod: peer.Pod}, Dead: true}, Activate{Term{0, 1}}, Announce{})
		s.does(PeerConnected{peer, standby}, Announce{})
		if dialing {
			s.does(PeerEnded{From: peer}, Dial{})
		}
		return s.after(duration)
	}
	// The connection has ended while the process was frozen.
	s := frozen(false).does(Froze{}, Deactivate{}, Query{}, Announce{}).does(PeerEnded{From: peer}, Dial{}).is(SteppedDown)
	s.does(PeerConnected{peer, Announcement{State: Active, Term: Term{0, 3}}}, Announce{}).is(Standby)
	s = frozen(false).does(Froze{}, Deactivate{}, Query{}, Announce{}).does(PeerEnded{From: peer}, Dial{})
	s.does(DialFailed{To: peer}, Activate{Term{0, 1}}, Announce{}).is(Active)
	// A dial from before the freeze proves nothing.
	s = frozen(true).does(Froze{}, Deactivate{}, Announce{}).does(DialFailed{To: peer}, Dial{}).is(SteppedDown)
	s.does(PeerConnected{peer, standby}, Query{}).is(SteppedDown)
	s.does(PeerAnswered{From: peer, Said: standby, Asked: s.m.know(peer).queried}, Activate{Term{0, 1}}, Announce{}).is(Active)
}

// The hello of a process that has ended may be read after the one of its successor.
func TestPair_HelloOfAnEarlierProcessIsLate_SuccessorStaysAlive(t *testing.T) {
	starting := Announcement{State: Starting, Warm: true}
	earlier, next := ID{peer.Pod, "1"}, ID{peer.Pod, "2"}
	for name, end := range map[string]Event{"goodbye": PeerGoodbye{earlier}, "end": PeerEnded{From: earlier}} {
		s := pairScript(t, false, 0).does(PeerConnected{next, starting})
		s.does(PeerConnected{earlier, starting}).does(end).is(Starting)
		if s.m.Dead(next) || !s.m.Dead(earlier) {
			t.Errorf("%s: successor dead: %v, earlier process dead: %v", name, s.m.Dead(next), s.m.Dead(earlier))
		}
		s.does(PeerEnded{From: next}, Dial{}).does(DialFailed{To: next, Dead: true}, Activate{Term{0, 1}}, Announce{})
	}
}

// The hello of the next process is read before the end of the connection of the earlier one, which has been killed
// while this process was frozen.
func TestPair_AnotherProcessReplacesTheConnection_TheOneThatAnswersLives(t *testing.T) {
	starting := Announcement{State: Starting, Warm: true}
	earlier, next := ID{peer.Pod, "1"}, ID{peer.Pod, "2"}
	replaced := func(from, by ID) *script {
		s := pairScript(t, true, 0).does(PeerConnected{from, starting}, Query{})
		s.does(PeerAnswered{From: from, Said: starting, Asked: s.m.seq}, Activate{Term{0, 1}}, Announce{})
		s.does(Froze{}, Deactivate{}, Query{}, Announce{}).is(SteppedDown)
		s.does(PeerReplaced{from})
		return s.does(PeerConnected{by, starting}, Query{}).is(SteppedDown)
	}
	s := replaced(earlier, next)
	asked := s.m.seq
	if s.m.Dead(earlier) {
		t.Error("the earlier process is dead without a proof")
	}
	s.does(PeerAnswered{From: next, Said: starting, Asked: asked}, Activate{Term{0, 1}}, Announce{})
	if !s.m.Dead(earlier) || s.m.Dead(next) {
		t.Errorf("earlier process dead: %v, next process dead: %v", s.m.Dead(earlier), s.m.Dead(next))
	}
	// The hello of the earlier process is read late.
	s = replaced(next, earlier)
	s.does(PeerEnded{From: earlier}, Dial{}).is(SteppedDown)
	if s.m.Dead(next) {
		t.Error("the next process is dead")
	}
	s.does(PeerConnected{next, starting}, Query{}).does(PeerAnswered{From: next, Said: starting, Asked: s.m.seq}, Activate{Term{0, 1}}, Announce{})
	if !s.m.Dead(earlier) || s.m.Dead(next) {
		t.Errorf("earlier process dead: %v, next process dead: %v", s.m.Dead(earlier), s.m.Dead(next))
	}
}

// The answer from before the other member was active proves nothing when it steps down.
func TestPair_OtherStepsDownAfterAHandOver_PreferredAsksAgain(t *testing.T) {
	starting := Announcement{State: Starting, Warm: true}
	s := pairScript(t, true, 0).does(PeerConnected{peer, starting}, Query{})
	s.does(PeerAnswered{From: peer, Said: starting, Asked: s.m.seq}, Activate{Term{0, 1}}, Announce{})
	s.does(HandOverRequested{}, Drain{}, Announce{}).does(Drained{}, Deactivate{}, HandOver{peer, Term{0, 2}}, Query{}, Announce{})
	active := Announcement{State: Active, Term: Term{0, 2}}
	s.does(PeerAnswered{From: peer, Said: active, Asked: s.m.seq})
	steppedDown := Announcement{State: SteppedDown, Term: Term{0, 2}}
	s.does(PeerHeartbeat{peer, steppedDown}, Query{}).is(Standby)
	s.does(PeerAnswered{From: peer, Said: steppedDown, Asked: s.m.seq}).is(Standby)
}

// Both members activate by their timeouts at almost the same time, and cannot reach each other. Otherwise they
// would end each other's sessions for the time of a permission.
func TestPair_ActivatedByTheTimeout_SessionEndSuspends(t *testing.T) {
	s := pairScript(t, true, duration).after(duration).does(Tick{}, Activate{Term{0, 2}}, Announce{})
	s.does(ConnectRequested{"x"}, Permit{"x"})
	s.after(50*time.Millisecond).does(SessionEnded{"x", false}, Suspend{"x"})
	s.after(duration-time.Millisecond).does(Tick{}).after(time.Millisecond).does(Tick{}, Deactivate{}, Activate{Term{0, 5}}, Announce{})
	s.after(50*time.Millisecond).does(SessionEnded{"x", false}, Suspend{"x"}) // the same after this takeover
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

// The other member hears nothing, and activates after its timeout, while this member hears its heartbeats.
// Only the answer to a query shows that it has heard this member.
func TestPair_OtherHearsNothing_SessionEndSuspends(t *testing.T) {
	standby := Announcement{State: Standby, Warm: true}
	for _, heard := range []bool{true, false} {
		s := pairScript(t, true, duration)
		s.does(DialFailed{To: ID{Pod: peer.Pod}, Dead: true}, Activate{Term{0, 1}}, Announce{})
		s.does(PeerConnected{peer, standby}, Query{}, Announce{})
		s.m.Step(PeerAnswered{From: peer, Said: standby, Asked: s.m.members[len(s.m.members)-1].queried}, s.now)
		for range 40 {
			s.after(time.Second).m.Step(PeerHeartbeat{peer, standby}, s.now)
			s.m.Step(Tick{}, s.now)
			if p := s.m.members[len(s.m.members)-1]; heard && p.querying {
				s.m.Step(PeerAnswered{From: peer, Said: standby, Asked: p.queried}, s.now)
			}
		}
		s.m.Step(PeerEnded{From: peer}, s.now)
		suspended := slices.Contains(s.m.Step(SessionEnded{"x", false}, s.now), Action(Suspend{"x"}))
		if suspended == heard {
			t.Errorf("the other member hears this one: %v, suspended: %v", heard, suspended)
		}
	}
}

// A process that starts after the other was dead may activate by its timeout. So the proof of death
// expires, unless the host refuses a connection again.
func TestPair_PeerWasDead_ProofExpires(t *testing.T) {
	for _, refused := range []bool{true, false} {
		s := pairScript(t, true, duration)
		s.does(DialFailed{To: ID{Pod: peer.Pod}, Dead: true}, Activate{Term{0, 1}}, Announce{})
		dials := 0
		for range 60 {
			for _, a := range s.after(time.Second).m.Step(Tick{}, s.now) {
				if d, ok := a.(Dial); ok {
					dials++
					s.m.Step(DialFailed{To: d.To, Dead: refused}, s.now)
				}
			}
		}
		suspended := slices.Contains(s.m.Step(SessionEnded{"x", false}, s.now), Action(Suspend{"x"}))
		if suspended == refused || dials == 0 {
			t.Errorf("refused again: %v, suspended: %v, after %d dials", refused, suspended, dials)
		}
	}
}

// After a time in which the other member may have used the sessions, the bridges start again.
func TestPair_OtherMayHaveForwarded_BridgesStartAgain(t *testing.T) {
	s := pairScript(t, true, duration)
	s.does(DialFailed{To: ID{Pod: peer.Pod}, Dead: true}, Activate{Term{0, 1}}, Announce{})
	s.does(PeerConnected{peer, Announcement{State: Standby, Warm: true}}, Query{}, Announce{})
	s.does(PeerEnded{From: peer}, Dial{}).does(DialFailed{To: peer})
	s.after(3*duration).does(SessionEnded{"x", true}, Suspend{"x"}, Dial{}, Announce{})
	s.does(DialFailed{To: peer, Dead: true}) // it may have forwarded before
	s.after(duration).does(Tick{}, Dial{}, Deactivate{}, Activate{Term{0, 1}}, Announce{}).is(Active)
}

// A process that has started without contact does not know the claim of a member that has stepped down.
func TestPair_OtherHasSteppedDownWithAHigherClaim_RaisesTheTerm(t *testing.T) {
	s := pairScript(t, true, duration)
	s.after(duration).does(Tick{}, Activate{Term{0, 2}}, Announce{})
	s.does(PeerConnected{peer, Announcement{State: SteppedDown, Term: Term{0, 7}}}, Query{}, Announce{}).is(Active)
	if want := (Term{0, 8}); s.m.Announcement().Term != want {
		t.Errorf("the term is %v, want %v", s.m.Announcement().Term, want)
	}
}

// A user has made the other member active by hand, while the members cannot reach each other. MQTT 3.1.1
// does not say why a session ends. So the bridge pauses after the third end, at most for a time.
func TestPair_SessionsEndRepeatedlyWhileCut_BridgePauses(t *testing.T) {
	s := pairScript(t, true, 0)
	s.does(DialFailed{To: ID{Pod: peer.Pod}, Dead: true}, Activate{Term{0, 1}}, Announce{})
	s.does(PeerConnected{peer, Announcement{State: Standby, Warm: true}}, Announce{})
	s.does(PeerEnded{From: peer}, Dial{}).does(DialFailed{To: peer})
	for _, pause := range []time.Duration{0, 0, repeatedPause * duration} {
		got := s.after(time.Second).m.Step(SessionEnded{"x", false}, s.now)
		if suspended := slices.Contains(got, Action(Suspend{"x"})); suspended != (pause > 0) {
			t.Fatalf("suspended: %v, want a pause of %s", suspended, pause)
		}
		s.after(pause - time.Second)
	}
	if got := s.m.Step(Tick{}, s.now); slices.Contains(got, Action(Resume{"x"})) {
		t.Error("the bridge continues before the pause is over")
	}
	if got := s.after(time.Second).m.Step(Tick{}, s.now); !slices.Contains(got, Action(Resume{"x"})) {
		t.Errorf("the bridge does not continue after the pause: %T%+v", got, got)
	}
}

// Two members that are cut from each other take over by turns, and one of them has started again. The later
// claim is the higher one.
func TestPair_ClaimsOfMembersThatAreCut_GrowWithTime(t *testing.T) {
	var terms []Term
	start := func(preferred bool, at time.Duration) *Machine {
		pair := &Pair{Peer: peer.Pod, Preferred: preferred, Timeout: duration, Born: 1000 + uint64(at/time.Second)}
		m := New(Config{Self: self, Duration: duration, Pair: pair}, epoch.Add(at))
		m.Step(Warm{true}, epoch.Add(at))
		return m
	}
	first := start(true, 0)
	first.Step(DialFailed{To: ID{Pod: peer.Pod}, Dead: true}, epoch)
	first.Step(PeerConnected{peer, Announcement{State: Standby, Warm: true}}, epoch)
	first.Step(PeerEnded{From: peer}, epoch)
	terms = append(terms, first.Announcement().Term)
	second := start(false, time.Second) // it has never heard the first one
	second.Step(Tick{}, epoch.Add(time.Second+2*duration))
	terms = append(terms, second.Announcement().Term)
	first.Step(SessionEnded{"x", true}, epoch.Add(time.Second+2*duration))
	first.Step(Tick{}, epoch.Add(time.Second+3*duration))
	terms = append(terms, first.Announcement().Term)
	if !terms[0].less(terms[1]) || !terms[1].less(terms[2]) {
		t.Errorf("the terms are %v", terms)
	}
}
