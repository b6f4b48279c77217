// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// bench is shared by the worlds of a test: a proxy, and a control stream through a broker without a
// bridge. The control stream measures the delays of the machine itself.
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
	// leastMargin is always added to a bound: connections take time, and a message is published
	// only every 20 ms.
	leastMargin = 500 * time.Millisecond
	// hops is the number of times that processes wait for each other during a switch: to connect,
	// to subscribe, and for messages before and after it.
	hops = 10
	// before is the time before a fault from which the control stream is evaluated, because a gap
	// begins with the latest message before the fault.
	before = time.Second
)

// margin returns the tolerance for a bound in the given period.
func (b *bench) margin(from, to time.Time) time.Duration {
	var delay time.Duration
	for _, a := range b.control.Arrivals() {
		if a.Time.After(from.Add(-before)) && a.Sent.Before(to) {
			delay = max(delay, a.Time.Sub(a.Sent))
		}
	}
	return leastMargin + hops*delay
}
