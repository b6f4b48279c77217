// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package faults tests the promise of the bridge under faults: nothing acknowledged is
// lost, order is kept, and nothing comes twice without a fault that explains it. One
// test ends connections at every byte of every type of packet, another goes through a
// schedule made by chance. The runner has the race detector in it, and a data race
// fails the test.
//
// Messages say the seed; -seed does the same again, as far as two processes and a
// network can. -schedule sets how long the schedule is.
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
	seed           = flag.Uint64("seed", 0, "of all that is by chance; 0 takes one by chance")
	scheduleLength = flag.Duration("schedule", 20*time.Second, "how long the schedule of faults is")
)

// testsAtOnce is how many lines run at a time. A line waits most of the time for a
// pause between two attempts to connect.
const testsAtOnce = "8"

// version is the version of MQTT that bridges speak. All tests run once with each.
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
		fmt.Printf("bridges speak MQTT %s, -seed=%d\n", version, *seed)
		code = max(code, m.Run())
	}
	mqtttest.RemoveRunnerBinary()
	os.Exit(code)
}

const (
	// soon is enough for what takes milliseconds, on a machine that is busy.
	soon = 20 * time.Second
	// wholly is enough for a stream's rest to arrive.
	wholly = 40 * time.Second
)
