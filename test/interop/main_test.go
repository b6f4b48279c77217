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
	"slices"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
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
			for _, s := range p.settings(remote) {
				t.Run(s.String(), func(t *testing.T) {
					// All of them are over when this returns: the server is
					// then restarted.
					t.Run("so that", func(t *testing.T) {
						for _, trial := range trials {
							if !trial.on(s) {
								continue
							}
							t.Run(trial.promise, func(t *testing.T) {
								t.Parallel()
								trial.run(newLine(t, s))
							})
						}
					})
					if busy(s) {
						t.Run("so that the bridge goes on after the server's restart", func(t *testing.T) {
							goesOnAfterRestart(newLine(t, s))
						})
					}
				})
			}
		})
	}
}

// trials are what is tried with every server while it stays up.
var trials = []struct {
	promise string
	run     func(*line)
	on      func(setting) bool
}{
	{"messages go over once and in order, both ways, at every QoS", goOverInOrder, busy},
	{"topics and payloads of all kinds go over unchanged", goOverUnchanged, always},
	{"large messages go over unchanged", largeGoOver, always},
	{"a message larger than maximumPacketSize is dropped and the others go over", largerIsDropped, always},
	{"a message with a wildcard in its topic is dropped and the others go over", wildcardIsDropped, func(s setting) bool { return s.peer.wildcard != "" && down(s) }},
	{"packet identifiers wrap round", identifiersWrapRound, busy},
	{"properties go over", propertiesGoOver, with5},
	{"the message expiry interval goes on while the bridge holds a message", expiryGoesOn, func(s setting) bool { return with5(s) && up(s) }},
	{"retain is kept, set and cleared", retainIsKeptSetAndCleared, always},
	{"messages that the server retains come when the bridge subscribes", retainedComeAtSubscribing, down},
	{"a retained message is deleted on the far side, too", retainedIsDeleted, always},
	{"wills go over", willsGoOver, always},
	{"the server keeps the session of a killed runner", sessionIsKept, busy},
	{"nothing is lost when the runner is killed", nothingIsLostByKill, up},
	{"nothing is lost when connections are cut", nothingIsLostByCuts, busy},
	{"a wrong password is named", wrongPasswordIsNamed, always},
	{"a refused subscription is named", refusedSubscriptionIsNamed, func(s setting) bool { return s.peer.refuses && down(s) }},
	{"a lower QoS and a refused bridge bit are named", shortfallsAreNamed, down},
	{"a version that the server does not speak is named", versionIsNamed, without5},
	{"a message that crossing filters match comes once by each rule and at its QoS", crossingFilters, down},
	{"the same topics go over both ways, each message once, or the server is not used", sameFilterBothWays, down},
}

func always(setting) bool { return true }

func busy(s setting) bool { return up(s) || !s.peer.hangs }

func up(s setting) bool { return slices.Contains(s.ways, "up") }

func down(s setting) bool { return slices.Contains(s.ways, "down") }

func with5(s setting) bool { return s.version == v1alpha1.ProtocolVersion5 }

func without5(s setting) bool { return !slices.Contains(s.peer.versions, v1alpha1.ProtocolVersion5) }
