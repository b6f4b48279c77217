// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

var (
	seed           = flag.Uint64("seed", 0, "seed of the first random schedule; 0 selects a random seed")
	scheduleLength = flag.Duration("schedule", time.Minute, "duration of random schedules")
	wantedCuts     = flag.Int("cuts", 0, "run random schedules until they have made this number of cuts, instead of for the duration -schedule")
	worldsAtOnce   = flag.Int("worlds", 4, "number of random schedules that run in parallel")
	without        = flag.String("without", "", "faults to exclude from random schedules, separated by commas: "+allFaults)
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(rand.Uint32())
	}
	fmt.Printf("-seed=%d\n", *seed)
	// Most of the time a world waits.
	if err := flag.Set("test.parallel", fmt.Sprint(max(*worldsAtOnce, 8))); err != nil {
		panic(err)
	}
	code := m.Run()
	mqtttest.RemoveRunnerBinary()
	os.Exit(code)
}
