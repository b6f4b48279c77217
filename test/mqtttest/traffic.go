// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// StartPublisher starts a stream to a broker. The stream ends with the test.
func StartPublisher(t testing.TB, to *Broker, cfg traffic.PublisherConfig) *traffic.Publisher {
	t.Helper()
	cfg.Dial = to.Dial
	if cfg.ClientID == "" {
		cfg.ClientID = "publisher-" + cfg.Stream
	}
	p := traffic.StartPublisher(t.Context(), cfg)
	t.Cleanup(p.Close)
	return p
}

const subscribeTimeout = 10 * time.Second

// StartCollector subscribes at the brokers until the test ends. Brokers with Persistence keep the
// subscription also if they are killed.
func StartCollector(t testing.TB, filter, stream string, brokers ...*Broker) *traffic.Collector {
	t.Helper()
	cfg := traffic.CollectorConfig{ClientID: "collector-" + stream, Filter: filter, Stream: stream}
	for _, b := range brokers {
		cfg.Sources = append(cfg.Sources, b.Source())
	}
	c, err := traffic.StartCollector(t.Context(), cfg, subscribeTimeout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for _, b := range brokers {
		if b.persistent {
			b.Save()
		}
	}
	return c
}
