// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package interop tests the bridge-runner, as the process in a pod, with MQTT servers of several
// vendors. The local server is a Mosquitto; the remote server is each of them in turn, with each
// MQTT version that both support. If a server deviates from the standard or from the other servers,
// the table of servers contains the deviation, and docs/interoperability.md describes it.
//
// The tests need the packages that "go -C hack/cluster run . packages" installs. The first run
// needs the Go module proxy and the npm registry.
package interop

import (
	"flag"
	"slices"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// testsAtOnce is the number of bridges that run in parallel. Some of them only wait, so that it
// exceeds the number of processors.
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
	// eventTimeout is for events that take milliseconds on an idle machine.
	eventTimeout = 20 * time.Second
	// drainTimeout is longer than a stream needs to arrive.
	drainTimeout = time.Minute
)

func TestInterop_EachServer_BridgeWorks(t *testing.T) {
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			remote := p.start(t)
			for _, s := range p.settings(remote) {
				t.Run(s.String(), func(t *testing.T) {
					// The group ends when all its tests have ended: the server is restarted
					// afterwards.
					t.Run("promises", func(t *testing.T) {
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
						t.Run("the bridge continues after a restart of the server", func(t *testing.T) {
							continuesAfterRestart(newLine(t, s))
						})
					}
				})
			}
		})
	}
}

// trials are the tests for every server while it runs.
var trials = []struct {
	promise string
	run     func(*line)
	on      func(setting) bool
}{
	{"messages arrive once and in order, in both directions, at every QoS", arriveInOrder, busy},
	{"topics and payloads of all kinds arrive unchanged", arriveUnchanged, always},
	{"large messages arrive unchanged", largeArrive, always},
	{"a message larger than maximumPacketSize is dropped and the others arrive", largerIsDropped, always},
	{"a message with a wildcard in its topic is dropped and the others arrive", wildcardIsDropped, func(s setting) bool { return s.peer.wildcard != "" && down(s) }},
	{"packet identifiers wrap round", identifiersWrapRound, busy},
	{"properties are forwarded", propertiesAreForwarded, with5},
	{"the message expiry interval decreases while the bridge holds a message", expiryDecreases, func(s setting) bool { return with5(s) && up(s) }},
	{"retain is kept, set and cleared", retainIsKeptSetAndCleared, always},
	{"retained messages arrive when the bridge subscribes", retainedArriveAtSubscribing, down},
	{"a retained message is also deleted on the other side", retainedIsDeleted, always},
	{"wills are forwarded", willsAreForwarded, always},
	{"the server keeps the session of a killed runner", sessionIsKept, busy},
	{"nothing is lost when the runner is killed", nothingIsLostByKill, up},
	{"QoS 1 messages continue after a kill if rules permit QoS 2", plainMessagesContinueAfterKill, func(s setting) bool { return up(s) && down(s) }},
	{"nothing is lost when connections are cut", nothingIsLostByCuts, busy},
	{"a wrong password is named", wrongPasswordIsNamed, always},
	{"a refused subscription is named", refusedSubscriptionIsNamed, func(s setting) bool { return s.peer.refuses && down(s) }},
	{"a refused subscription leaves the others", refusedSubscriptionLeavesTheOthers, func(s setting) bool { return s.peer.refuses && down(s) }},
	{"a lower QoS and a refused bridge flag are named", shortfallsAreNamed, down},
	{"a version that the server does not support is named", versionIsNamed, without5},
	{"a message that matches crossing filters arrives once per rule, at the rule's QoS", crossingFilters, down},
	{"with the same topics in both directions, each message arrives once, or the server is not used", sameFilterBothWays, down},
}

func always(setting) bool { return true }

func busy(s setting) bool { return up(s) || !s.peer.hangs }

func up(s setting) bool { return slices.Contains(s.ways, "up") }

func down(s setting) bool { return slices.Contains(s.ways, "down") }

func with5(s setting) bool { return s.version == v1alpha1.ProtocolVersion5 }

func without5(s setting) bool { return !slices.Contains(s.peer.versions, v1alpha1.ProtocolVersion5) }
