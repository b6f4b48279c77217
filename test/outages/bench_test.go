// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// bench is what the worlds of a test share: a proxy, and a stream that goes through a
// broker and no bridge. By that it is known how much the machine itself holds up.
type bench struct {
	proxy   *toxiproxy
	control *traffic.Collector
}

func startBench(t testing.TB) *bench {
	t.Helper()
	broker := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "control"})
	b := &bench{proxy: startToxiproxy(t), control: mqtttest.StartCollector(t, "control", "control", broker)}
	mqtttest.StartPublisher(t, broker, traffic.PublisherConfig{Topic: "control", Stream: "control", QoS: 1, Rate: rate})
	return b
}

const (
	// leastMargin is what is added to a bound in any case: connections are made, and
	// messages come one every 20 ms.
	leastMargin = 500 * time.Millisecond
	// hops is how often processes wait for one another during a switch: to connect, to
	// subscribe, and for messages before and after it.
	hops = 10
	// before a fault was the latest message, by which a gap begins.
	before = time.Second
)

// margin is what may be added to a bound in that time.
func (b *bench) margin(from, to time.Time) time.Duration {
	var held time.Duration
	for _, a := range b.control.Arrivals() {
		if a.Time.After(from.Add(-before)) && a.Sent.Before(to) {
			held = max(held, a.Time.Sub(a.Sent))
		}
	}
	return leastMargin + hops*held
}
