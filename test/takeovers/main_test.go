// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package takeovers changes a running bridge while messages flow: its rules, settings, servers and
// logins, and the runner that forwards if there are two. It measures the longest time without an arrival
// at the receiving clients around each event, and counts the messages that were lost or arrived twice.
// The limits are in docs/failure-modes.md and docs/two-runners.md.
//
// The brokers are Mosquitto, and the runner is the program as it is released. Each scenario has
// streams of numbered messages at QoS 1 and 2 in both directions, 500 messages a second each.
//
// A control stream passes a broker of its own, and no bridge. If it has a gap, the machine stands still. The
// own gap of a stream is its gap without these times. The limits apply to the own gap, so that a machine with
// two processors can run the tests, and a gap of the bridge alone always counts. The control stream is
// not affected if only the pods of the bridges get too little processor time; such a gap counts as own.
//
// All events are in one table, which is printed at the end if go test shows the output of passing
// tests: make takeovers. By default each event happens once, with one of the MQTT versions, and the
// limits are larger, because other tests may use the machine. -full repeats each event with each
// version, and checks the limits of these pages.
//
// With the build tag e2e, the table ends with rows for the two pods of a bridge with replicas: 2, on the
// node of the local cluster (hack/cluster), with the operator installed. Their brokers are processes of
// this machine that listen on the address of the node, and the clients connect to them by loopback. So
// the measure does not depend on pods, the kubelet or the API server: these events affect only the
// runners. A connection between a pod and a broker passes the network of the pod. The gap of an event
// includes the start of the pods and processes that replace others. While the API server is stopped,
// each of several bridges counts as a repetition, and all of them share the rate of 250 messages a second (fleetRate).
//
// A scenario is a list of events after which the next repetition can begin. To add an event, add a
// scenario to the list in scenarios_test.go, for two processes in pairs_test.go, or for two pods in
// withpods_test.go.
package takeovers

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

var (
	full        = flag.Bool("full", false, "repeat each event with each MQTT version, and check the limits without the tolerance for a busy machine")
	repetitions = flag.Int("repetitions", 10, "with -full, the number of repetitions of each event with each MQTT version")
)

const (
	// eventTimeout is for events that take milliseconds on an idle machine.
	eventTimeout = 20 * time.Second
	// drainTimeout is longer than the rest of a stream needs to arrive.
	drainTimeout = 40 * time.Second
	// busy is the factor for the limits without -full.
	busy = 5
	// inflight is the default of spec.delivery.inflightWindow. A source may send windows times this number
	// before the runner acknowledges the first one.
	inflight = 256
	windows  = 16
)

func TestMain(m *testing.M) {
	flag.Parse()
	if address := os.Getenv(floodAddress); address != "" {
		if err := publishFlood(address, os.Getenv(floodTopic)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	began := load()
	code := m.Run()
	mqtttest.RemoveRunnerBinary()
	results.print(os.Stdout)
	fmt.Printf("load of the machine (1, 5 and 15 minutes): %s at the start, %s at the end\n", began, load())
	os.Exit(code)
}

// times returns the number of repetitions of an event.
func times() int {
	if *full {
		return *repetitions
	}
	return 1
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
