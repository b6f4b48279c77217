// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/conformance/peer"
)

var (
	fullPairs   = flag.Bool("full", false, "run 1,000 random schedules of two runners")
	pairs       = flag.Int("pairs", 24, "number of random schedules of two runners")
	pairsAtOnce = flag.Int("pairs-at-once", 6, "number of random schedules of two runners that run in parallel")
)

// pairRound is one world with two runners and a random schedule. All random choices depend on its seed.
type pairRound struct {
	*round
	twins    *twins
	schedule *schedule
}

// newPair returns a world with two runners and no schedule.
func newPair(t *testing.T, p pairSettings, s settings) *pairRound {
	t.Helper()
	h, change := newHistory(p.timeout), s.server
	s.remotes, s.ackTimeout = 1, 5
	s.server = func(c *peer.Config) {
		c.Processes, c.Record = peer.AnyProcesses, h.records(c.Name)
		if change != nil {
			change(c)
		}
	}
	r := &pairRound{round: &round{world: newWorld(t, s), sizes: []int{0, 500}, limit: 50}}
	r.ledger.pair = true
	r.twins = newTwins(t, r.manifest, p)
	r.twins.history, r.twins.forgets = h, r.ledger.newEra
	for i, from := range r.servers() {
		for _, qos := range []byte{1, 2} {
			r.stream(from, fmt.Sprintf("%s%d", []string{"up", "down"}[i], qos), qos)
		}
	}
	t.Logf("MQTT %s, window %d, %s", r.version, r.window, p)
	return r
}

func (r *pairRound) servers() []*peer.Server { return []*peer.Server{r.local, r.remotes[0]} }

func newPairRound(t *testing.T, seed uint64) *pairRound {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 2))
	p := pairSettings{linked: random.IntN(3) > 0, timeout: time.Duration(random.IntN(2)) * 3 * time.Second}
	r := newPair(t, p, settings{version: versions[random.IntN(2)], window: []int{1, 20, 100}[random.IntN(3)], server: func(c *peer.Config) {
		c.DeliverOnRelease, c.LowestID = random.IntN(2) == 0, random.IntN(2) == 0
	}})
	r.seed, r.random = seed, random
	r.schedule = newSchedule(random, r.twins, func(i int, reset bool) { r.servers()[i].CutAll(reset) })
	return r
}

func (r *pairRound) run() {
	r.Helper()
	defer func() {
		if r.broken.Load() {
			r.schedule.log(r, "OneForwards", r.seed)
		}
	}()
	r.twins.startAll()
	r.settled()
	stop := make(chan struct{})
	var publishing sync.WaitGroup
	for i, s := range r.streams {
		publishing.Go(func() { r.publishUntil(stop, s, rand.New(rand.NewPCG(r.seed, uint64(100+i)))) })
	}
	r.schedule.run(r.broken.Load)
	r.twins.settle()
	r.settled()
	close(stop)
	publishing.Wait()
	for _, s := range r.streams {
		if !r.broken.Load() && !r.publish(s, 0) {
			r.violation("the bridge has no session at the source of " + s.name)
		}
	}
	r.arrived(r.streams...)
	for _, v := range r.twins.violations() {
		r.violation(v)
	}
}

// settleTimeout is the time after the end of all faults within which one runner must be active.
const settleTimeout = 20 * time.Second

// settled waits until one runner is active and connected.
func (r *pairRound) settled() {
	r.Helper()
	if r.eventually(settleTimeout, "one runner is active, and the other is its standby", r.twins.oneActive) {
		r.connected(r.remotes[0])
	}
}

// scheduleCount is the number of random schedules with servers that watch each packet.
func scheduleCount() int {
	if *fullPairs {
		return 1000
	}
	return *pairs
}

// maxFailed is the number of failed schedules after which a test ends.
const maxFailed = 5

// runSchedules runs schedules in parallel. Each has a seed.
func runSchedules(t *testing.T, n int, run func(t *testing.T, seed uint64)) {
	t.Helper()
	var next, failed atomic.Int64
	t.Run("worlds", func(t *testing.T) {
		for i := range *pairsAtOnce {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				for k := next.Add(1); k <= int64(n) && failed.Load() < maxFailed; k = next.Add(1) {
					seed := *seed + uint64(k) - 1
					if !t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { run(t, seed) }) {
						failed.Add(1)
					}
				}
			})
		}
	})
	t.Logf("%d schedules, %d failed", min(next.Load(), int64(n)), failed.Load())
}

// At no time do two runners forward, whatever random schedules of killed, frozen and continued processes,
// hand-overs, and cuts of the connections do. The servers watch each packet. No message is lost.
func TestTwoRunners_RandomSchedules_OneForwards(t *testing.T) {
	runSchedules(t, scheduleCount(), func(t *testing.T, seed uint64) { newPairRound(t, seed).run() })
}
