// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package takeovers

import (
	"fmt"
	"slices"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

func TestTakeover_EachEvent_HasBoundedGapAndLosesNothing(t *testing.T) {
	control := startControl(t)
	all := slices.Concat(scenarios, pairScenarios)
	for i := range all {
		s := &all[i]
		for _, version := range versions(i) {
			t.Run(fmt.Sprintf("%s/MQTT %s", s.name, version), func(t *testing.T) {
				w := newWorld(t, s, version, control)
				for range times() {
					for i := range s.events {
						w.bringAbout(&s.events[i])
					}
				}
				w.judge()
			})
		}
	}
	results.checkAll(t)
}

var both = []v1alpha1.ProtocolVersion{v1alpha1.ProtocolVersion311, v1alpha1.ProtocolVersion5}

// versions returns one version in turn; with -full it returns both.
func versions(turn int) []v1alpha1.ProtocolVersion {
	if *full {
		return both
	}
	return both[turn%len(both):][:1]
}

// startControl starts a stream through a broker without a bridge. It measures the delays of the
// machine itself.
func startControl(t testing.TB) *traffic.Collector {
	t.Helper()
	broker := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "control"})
	c := mqtttest.StartCollector(t, "control", "control", broker)
	mqtttest.StartPublisher(t, broker, traffic.PublisherConfig{Topic: "control", Stream: "control", QoS: 1, Rate: rate})
	return c
}
