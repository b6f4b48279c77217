// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var (
	schedules = flag.Int("schedules", 500, "number of random schedules")
	firstSeed = flag.Uint64("seed", 0, "seed of the first random schedule")
	everyPair = flag.Bool("every-pair", false, "explore all pairs of faults with more pauses")
)

// randomWorld returns a world after a random schedule of faults and their end.
func randomWorld(seed uint64, logs bool, broken faulty) *world {
	random := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(2+random.IntN(2), 1+random.IntN(2), random)
	w.logs, w.faulty = logs, broken
	if random.IntN(8) == 0 { // a user changes the duration
		for _, p := range w.pods {
			p.duration = []time.Duration{3 * time.Second, duration, time.Minute}[random.IntN(3)]
		}
	}
	w.applyRandom(random)
	w.settle()
	return w
}

// applyRandom starts the members, and applies random faults.
func (w *world) applyRandom(random *rand.Rand) {
	for _, p := range w.pods {
		w.start(p)
		w.run(time.Duration(random.IntN(3)) * time.Second)
	}
	if random.IntN(4) > 0 {
		w.run(10 * time.Second)
	}
	for range 3 + random.IntN(20) {
		w.apply(faults[random.IntN(len(faults))], w.pods[random.IntN(len(w.pods))])
		pauses := []time.Duration{0, 3 * time.Millisecond, time.Second, 6 * time.Second, 20 * time.Second}
		w.run(time.Duration(random.Float64() * float64(pauses[random.IntN(len(pauses))])))
	}
}

// However faults follow each other, no member connects with a claim that is lower than the claim of
// an earlier session, and one member is active when they end.
func TestMachine_RandomFaults_ClaimsNeverGoBackAndOneMemberIsActive(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+uint64(*schedules); seed++ {
		if w := randomWorld(seed, false, faulty{}); w.fault != "" {
			fail(t, fmt.Sprintf("-seed=%d", seed), func() *world { return randomWorld(seed, true, faulty{}) })
		}
	}
}

// step is a fault of a sequence, and the time until the next fault.
type step struct {
	fault fault
	pod   int
	pause time.Duration
}

// sequenceWorld returns a world of two settled members after a sequence of faults and their end. All
// delays are the same.
func sequenceWorld(steps []step, logs bool, broken faulty) *world {
	w := newWorld(2, 1, nil)
	w.logs, w.faulty = logs, broken
	for _, p := range w.pods {
		w.start(p)
		w.run(2 * time.Second)
	}
	for _, s := range steps {
		w.apply(s.fault, w.pods[s.pod])
		w.run(s.pause)
	}
	w.settle()
	return w
}

// singleSteps returns all sequences of one fault.
func singleSteps() (single []step) {
	pauses := []time.Duration{1500 * time.Microsecond, 18 * time.Second}
	if *everyPair {
		pauses = append(pauses, 0, 2*time.Second, 9*time.Second)
	}
	for _, f := range faults {
		for pod := range 2 {
			for _, pause := range pauses {
				single = append(single, step{f, pod, pause})
			}
		}
	}
	return single
}

// All sequences of two faults, at each member, with each pause.
func TestMachine_AllPairsOfFaults_ClaimsNeverGoBackAndOneMemberIsActive(t *testing.T) {
	single := singleSteps()
	for _, first := range single {
		for _, second := range single {
			steps := []step{first, second}
			if w := sequenceWorld(steps, false, faulty{}); w.fault != "" {
				fail(t, fmt.Sprint(steps), func() *world { return sequenceWorld(steps, true, faulty{}) })
			}
		}
	}
	t.Logf("%d sequences", len(single)*len(single))
}

// The checks of the world find each of these faults of a driver or of an assumption.
func TestWorld_FaultyDriver_IsFound(t *testing.T) {
	for name, broken := range map[string]faulty{
		"a dial without an answer counts as proof":  {timeoutProves: true},
		"a freeze is not noticed":                   {missesFreezes: true},
		"sessions are not ended":                    {ignoresYields: true},
		"the Lease is written without a comparison": {invalidAlways: true},
		"the end of a drain is not reported":        {forgetsDrained: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(10_000) {
				if w := randomWorld(seed, false, broken); w.fault != "" {
					t.Logf("seed %d: %s", seed, w.fault)
					return
				}
			}
			t.Fatal("no violation is found")
		})
	}
}

// A permission to connect does not last: the servers may be available only after another member has
// taken over.
func TestWorld_DriverThatConnectsWithoutPermission_IsFound(t *testing.T) {
	isolate := fault{"isolate", func(w *world, p *pod) {
		w.restartServer(0, time.Minute)
		w.restartServer(1, time.Minute)
		w.cutLinks(p, true)
		p.noAPI = true
	}}
	handOver := onProcess("hand over", func(p *process) { p.receive(HandOverRequested{}) })
	for broken, found := range map[faulty]bool{{}: false, {asksNever: true}: true} {
		w := sequenceWorld([]step{{handOver, 0, time.Second}, {isolate, 1, 90 * time.Second}}, false, broken)
		if (w.fault != "") != found {
			t.Errorf("%+v: violation %q", broken, w.fault)
		}
	}
}
