// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

func TestLoad_2000MessagesASecondOver50msRoundTrip_KeepsUp(t *testing.T) {
	const (
		rate   = 2000
		oneWay = 25 * time.Millisecond
	)
	l := newLine(t)
	l.far(oneWay)
	l.connect()
	l.publisher = mqtttest.StartPublisher(t, l.local, traffic.PublisherConfig{Topic: "up/x", Stream: "up", QoS: 1, Rate: rate, Size: 128, Count: 10 * rate})
	must(t, l.publisher.WaitDone(drainTimeout))
	published := time.Now()
	err := l.collector.WaitAll(l.publisher.Ledger(), drainTimeout)
	behind := time.Since(published)
	onceEach(t, l.judge(err))
	latencies := traffic.Latencies(l.collector.Arrivals())
	t.Logf("the last message arrived %s after the last acknowledgement; latency p50 %s, p99 %s", behind, latencies[len(latencies)/2], latencies[len(latencies)*99/100])
	if behind > time.Second {
		t.Errorf("the bridge was %s behind after 10 s, want it to keep up", behind)
	}
}
