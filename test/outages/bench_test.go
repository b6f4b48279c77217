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
// bridge. The bounds apply to the time in which messages of the control stream arrived.
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

// margin is added to a bound: connections take time, and a message is published only every 20 ms.
const margin = 500 * time.Millisecond

// around is the time before and after a period in which standstills are evaluated, too: a gap begins with the
// latest message before a fault, and a standstill may last longer than the period.
const around = time.Second

// standstills returns the standstills of the machine in the given period.
func (b *bench) standstills(from, to time.Time) traffic.Standstills {
	return traffic.NewStandstills(traffic.Excess(time.Second/rate, from.Add(-around), to.Add(around), b.control.Arrivals()))
}

// took returns the length of a period.
func (b *bench) took(from, to time.Time) took {
	s := traffic.Silence{From: from, To: to}
	return took{s.Length(), b.standstills(from, to).Own(s)}
}

// gap returns the longest time without a message of a stream, from the latest message before the given period.
func (b *bench) gap(s *stream, from, to time.Time) took {
	gap, own := b.standstills(from, to).Longest(s.silences(from, to))
	return took{gap.Length(), own}
}
