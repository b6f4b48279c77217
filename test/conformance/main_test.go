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
	seed           = flag.Uint64("seed", 0, "of the first random schedule; 0 takes a random one")
	scheduleLength = flag.Duration("schedule", time.Minute, "how long random schedules run")
	wantedCuts     = flag.Int("cuts", 0, "run random schedules until they have made so many cuts, instead of for -schedule")
	worldsAtOnce   = flag.Int("worlds", 4, "how many random schedules run at once")
	without        = flag.String("without", "", "faults to leave out of random schedules, separated by commas: "+allFaults)
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(rand.Uint32())
	}
	fmt.Printf("-seed=%d\n", *seed)
	// A world waits most of the time.
	if err := flag.Set("test.parallel", fmt.Sprint(max(*worldsAtOnce, 8))); err != nil {
		panic(err)
	}
	code := m.Run()
	mqtttest.RemoveRunnerBinary()
	os.Exit(code)
}
