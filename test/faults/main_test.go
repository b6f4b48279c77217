// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package faults tests the guarantees of the bridge under faults: no acknowledged message is lost,
// order is kept, and no message arrives twice without a fault that explains it. One test ends
// connections at every byte of every packet type; another runs a random schedule. The runner has
// the race detector, and a data race fails the test.
//
// Failure messages contain the seed. -seed repeats a run as exactly as two processes and a network
// allow. -schedule sets the length of the schedule.
package faults

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

var (
	seed           = flag.Uint64("seed", 0, "seed of all random choices; 0 selects a random seed")
	scheduleLength = flag.Duration("schedule", 20*time.Second, "length of the schedule of faults")
)

// testsAtOnce is the number of lines that run in parallel. Most of the time a line waits for the
// delay between two attempts.
const testsAtOnce = "8"

// version is the MQTT version of the bridges. All tests run once with each version.
var version v1alpha1.ProtocolVersion

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", testsAtOnce); err != nil {
		panic(err)
	}
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	code := 0
	for _, version = range []v1alpha1.ProtocolVersion{v1alpha1.ProtocolVersion311, v1alpha1.ProtocolVersion5} {
		fmt.Printf("bridges use MQTT %s, -seed=%d\n", version, *seed)
		code = max(code, m.Run())
	}
	mqtttest.RemoveRunnerBinary()
	os.Exit(code)
}

const (
	// eventTimeout is for events that take milliseconds on an idle machine.
	eventTimeout = 20 * time.Second
	// drainTimeout is longer than the rest of a stream needs to arrive.
	drainTimeout = 40 * time.Second
)
