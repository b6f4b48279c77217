// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package interop tests the bridge-runner against MQTT servers of several makers,
// as the process that a pod runs: the local side is a Mosquitto, the remote one
// each of them in turn, in each version of MQTT that both speak. Where a server
// differs from the standard or from the others, the test says so in the table of
// servers, and docs/interoperability.md in words.
//
// It needs what "go -C hack/cluster run . packages" installs, and the module proxy
// and npm's registry the first time.
package interop

import (
	"flag"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// testsAtOnce is how many bridges run at a time. Some of them only wait, so that
// it is more than the processors.
const testsAtOnce = "4"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", testsAtOnce); err != nil {
		panic(err)
	}
	m.Run()
	mqtttest.RemoveRunnerBinary()
}

const (
	// soon is enough for what takes milliseconds, on a machine that is busy.
	soon = 20 * time.Second
	// wholly is enough for a stream to arrive.
	wholly = time.Minute
)

func TestTheBridgeWorksWith(t *testing.T) {
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			remote := p.start(t)
			for _, version := range p.versions {
				t.Run("MQTT "+string(version), func(t *testing.T) {
					setting := setting{peer: p, remote: remote, version: version}
					// All of them are over when this returns: the server is
					// then restarted.
					t.Run("so that", func(t *testing.T) {
						for _, trial := range trials {
							t.Run(trial.promise, func(t *testing.T) {
								t.Parallel()
								trial.run(newLine(t, setting))
							})
						}
					})
					t.Run("so that the bridge goes on after the server's restart", func(t *testing.T) {
						goesOnAfterRestart(newLine(t, setting))
					})
				})
			}
		})
	}
}

// trials are what is tried with every server while it stays up.
var trials = []struct {
	promise string
	run     func(*line)
}{
	{"messages go over once and in order, both ways, at every QoS", goOverInOrder},
	{"topics and payloads of all kinds go over unchanged", goOverUnchanged},
	{"large messages go over unchanged", largeGoOver},
	{"packet identifiers wrap round", identifiersWrapRound},
	{"retain is kept, set and cleared", retainIsKeptSetAndCleared},
	{"messages that the server retains come when the bridge subscribes", retainedComeAtSubscribing},
	{"a retained message is deleted on the far side, too", retainedIsDeleted},
	{"wills go over", willsGoOver},
	{"the server keeps the session of a killed runner", sessionIsKept},
	{"nothing is lost when connections are cut", nothingIsLostByCuts},
	{"a wrong password is named", wrongPasswordIsNamed},
	{"a refused subscription is named", refusedSubscriptionIsNamed},
}
