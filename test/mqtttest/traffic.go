// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// StartPublisher starts a stream into a broker that ends with the test.
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

const subscribed = 10 * time.Second

// StartCollector listens to brokers until the test ends. Those with Persistence
// keep the subscription also when they are killed.
func StartCollector(t testing.TB, filter, stream string, brokers ...*Broker) *traffic.Collector {
	t.Helper()
	cfg := traffic.CollectorConfig{ClientID: "collector-" + stream, Filter: filter, Stream: stream}
	for _, b := range brokers {
		cfg.Sources = append(cfg.Sources, b.Source())
	}
	c, err := traffic.StartCollector(t.Context(), cfg, subscribed)
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
