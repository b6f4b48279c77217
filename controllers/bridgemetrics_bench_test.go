// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// gaugeVectors are the alternative to BridgeMetrics: gauges that each pass sets.
type gaugeVectors struct {
	vectors []*prometheus.GaugeVec
	place   *prometheus.GaugeVec
}

func newGaugeVectors(registry *prometheus.Registry) *gaugeVectors {
	out := &gaugeVectors{}
	vector := func(name string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: name}, append([]string{"namespace", "name"}, labels...))
		registry.MustRegister(v)
		return v
	}
	for _, name := range []string{"ready", "degraded", "stalled", "suspended", "generation_lag"} {
		out.vectors = append(out.vectors, vector("mqttbridge_bridge_"+name))
	}
	out.place = vector("mqttbridge_bridge_active_server_place", "side")
	return out
}

func (v *gaugeVectors) record(b *v1alpha1.MQTTBridge) {
	values := valuesOf(b)
	for _, vector := range v.vectors {
		vector.WithLabelValues(b.Namespace, b.Name).Set(0)
	}
	v.place.WithLabelValues(b.Namespace, b.Name, "local").Set(float64(values.localPlace))
	v.place.WithLabelValues(b.Namespace, b.Name, "remote").Set(float64(values.remotePlace))
}

// BenchmarkBridgeMetrics compares both ways at 10,000 bridges: the memory that stays, the cost of
// a pass, and the cost of a scrape.
func BenchmarkBridgeMetrics(b *testing.B) {
	const bridges = 10_000
	fleet := make([]*v1alpha1.MQTTBridge, bridges)
	for i := range fleet {
		fleet[i] = newBridge(fmt.Sprintf("plant-%d", i/100), fmt.Sprintf("line-%d-to-cloud", i))
		fleet[i].Status.Local, fleet[i].Status.Remote = localUp(), remoteOnPrimary()
	}
	for name, start := range map[string]func(*prometheus.Registry) func(*v1alpha1.MQTTBridge){
		"values": func(registry *prometheus.Registry) func(*v1alpha1.MQTTBridge) {
			m := NewBridgeMetrics()
			registry.MustRegister(m)
			return m.record
		},
		"gauges": func(registry *prometheus.Registry) func(*v1alpha1.MQTTBridge) {
			return newGaugeVectors(registry).record
		},
	} {
		registry := prometheus.NewRegistry()
		before := heap()
		record := start(registry)
		for _, bridge := range fleet {
			record(bridge)
		}
		resident := float64(heap()-before) / (1 << 20)
		b.Run(name+"/pass", func(b *testing.B) {
			b.ReportAllocs()
			b.ReportMetric(resident, "resident-MiB")
			for i := range b.N {
				record(fleet[i%bridges])
			}
		})
		b.Run(name+"/scrape", func(b *testing.B) {
			handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
			b.ReportAllocs()
			answer := &discard{header: http.Header{}}
			for range b.N {
				answer.size = 0
				handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
			}
			b.ReportMetric(float64(answer.size)/(1<<20), "answer-MiB")
		})
	}
}

// discard is an answer that keeps only its size.
type discard struct {
	header http.Header
	size   int
}

func (d *discard) Header() http.Header { return d.header }

func (d *discard) WriteHeader(int) {}

func (d *discard) Write(p []byte) (int, error) {
	d.size += len(p)
	return len(p), nil
}

// heap returns the size of the live objects.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
