// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/tracing"
)

// BenchmarkTracing forwards messages as BenchmarkBridge does, at QoS 1 of MQTT 5: without tracing, with
// tracing that samples no message, 1% of the messages and all messages. The receiver accepts all spans;
// its work in this process is measured, too.
func BenchmarkTracing(b *testing.B) {
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer receiver.Close()
	for _, c := range []struct {
		name     string
		settings *tracing.Settings
	}{
		{"off", nil},
		{"ratio=0", &tracing.Settings{Endpoint: receiver.URL}},
		{"ratio=0.01", &tracing.Settings{Endpoint: receiver.URL, PerMillion: 10_000}},
		{"ratio=1", &tracing.Settings{Endpoint: receiver.URL, PerMillion: 1_000_000}},
	} {
		b.Run(c.name, func(b *testing.B) {
			process := tracing.NewProcess(slog.New(slog.DiscardHandler))
			defer process.Shutdown(time.Second)
			bridge := process.Bridge("test", "bench")
			bridge.Apply(c.settings)
			benchmarkBridge(b, packet.V5, 1, delivery.Options{Tracer: bridge.Direction(report.LocalToRemote)})
			b.ReportMetric(float64(process.Exported.Load()), "exported")
			b.ReportMetric(float64(process.QueueFull.Load()), "dropped")
		})
	}
}
