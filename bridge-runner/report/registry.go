// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
)

// Registry publishes the metrics of a process: the metrics of its bridges, of the program and of Go.
type Registry struct {
	registry *prometheus.Registry
}

// NewRegistry returns a registry without bridges.
func NewRegistry() *Registry {
	r := &Registry{prometheus.NewRegistry()}
	r.registry.MustRegister(buildInfo(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Add adds the metrics of the only bridge of the process.
func (r *Registry) Add(m *Metrics) { r.registry.MustRegister(m) }

// AddBridge adds the metrics of one of many bridges. The labels namespace and bridge identify
// its series. remove removes all of them.
func (r *Registry) AddBridge(ofNamespace, name string, m *Metrics) (remove func()) {
	ofBridge := prometheus.WrapRegistererWith(prometheus.Labels{"namespace": ofNamespace, "bridge": name}, r.registry)
	ofBridge.MustRegister(m)
	return func() { ofBridge.Unregister(m) }
}

// AddHost adds the metrics of a process that runs many bridges: the number of its bridges, and
// the number of manifests that it refuses.
func (r *Registry) AddHost(bridges, refused func() float64) {
	for name, value := range map[string]func() float64{"mqttbridge_bridges": bridges, "mqttbridge_refused_manifests": refused} {
		m := metriclist.Get(name, metriclist.Gauge)
		r.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: m.Name, Help: m.Help}, value))
	}
}

// AddSpans adds the metrics of spans, which are read from the given counters. dropped has the counters
// by cause.
func (r *Registry) AddSpans(exported *atomic.Uint64, dropped map[string]*atomic.Uint64) {
	counter := func(name string, labels prometheus.Labels, count *atomic.Uint64) {
		m := metriclist.Get(name, metriclist.Counter)
		opts := prometheus.CounterOpts{Name: m.Name, Help: m.Help, ConstLabels: labels}
		r.registry.MustRegister(prometheus.NewCounterFunc(opts, func() float64 { return float64(count.Load()) }))
	}
	counter("mqttbridge_spans_exported_total", nil, exported)
	for cause, count := range dropped {
		counter("mqttbridge_spans_dropped_total", prometheus.Labels{"cause": cause}, count)
	}
}

// handler serves the metrics.
func (r *Registry) handler() http.Handler {
	return promhttp.HandlerFor(r.registry, promhttp.HandlerOpts{})
}
