// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// roundLength is the duration of one random schedule. Each schedule has different settings.
const roundLength = 10 * time.Second

// No fault that the protocol and the network allow makes the bridge violate the protocol, or lose
// or drop a message. -schedule sets the duration, -cuts the number of connections that are ended,
// and -seed repeats a run.
func TestRandomSchedule_CutsKillsAndSwitches_LoseAndDropNothing(t *testing.T) {
	var (
		next  atomic.Uint64
		cuts  atomic.Int64
		end   = time.Now().Add(*scheduleLength)
		until = func() bool { return time.Now().Before(end) }
	)
	if *wantedCuts > 0 {
		until = func() bool { return int(cuts.Load()) < *wantedCuts }
	}
	t.Run("worlds", func(t *testing.T) {
		for i := range *worldsAtOnce {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				for until() && !t.Failed() {
					seed := *seed + next.Add(1) - 1
					t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
						r := newRound(t, seed, *without)
						r.run(roundLength)
						cuts.Add(int64(r.cuts()))
					})
				}
			})
		}
	})
	t.Logf("%d rounds, %d cuts, restarts and kills", next.Load(), cuts.Load())
}
