// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
)

// MemberMetrics are the metrics of a process that is a member of a group.
type MemberMetrics struct {
	active, warm, connected prometheus.Gauge
	activations             *prometheus.CounterVec
	gap                     *prometheus.HistogramVec
}

// AddMember adds the metrics of a member. causes are the causes of activations.
func (r *Registry) AddMember(causes []string) *MemberMetrics {
	gauge := func(name string) prometheus.Gauge {
		m := metriclist.Get(name, metriclist.Gauge)
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: m.Name, Help: m.Help})
		r.registry.MustRegister(g)
		return g
	}
	activations := metriclist.Get("mqttbridge_member_activations_total", metriclist.Counter)
	gap := metriclist.Get("mqttbridge_member_gap_seconds", metriclist.Histogram)
	m := &MemberMetrics{
		active:      gauge("mqttbridge_member_active"),
		warm:        gauge("mqttbridge_member_warm"),
		connected:   gauge("mqttbridge_member_peer_connected"),
		activations: prometheus.NewCounterVec(prometheus.CounterOpts{Name: activations.Name, Help: activations.Help}, activations.Labels),
		gap: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: gap.Name, Help: gap.Help, Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, gap.Labels),
	}
	r.registry.MustRegister(m.activations, m.gap)
	for _, cause := range causes {
		m.activations.WithLabelValues(cause) // begins with 0
	}
	return m
}

// SetState records the state of the member.
func (m *MemberMetrics) SetState(active, warm, connected bool) {
	for gauge, is := range map[prometheus.Gauge]bool{m.active: active, m.warm: warm, m.connected: connected} {
		value := 0.0
		if is {
			value = 1
		}
		gauge.Set(value)
	}
}

// Activated counts an activation.
func (m *MemberMetrics) Activated(cause string) { m.activations.WithLabelValues(cause).Inc() }

// Forwards records that a bridge forwards after an activation.
func (m *MemberMetrics) Forwards(cause string, gap time.Duration) {
	m.gap.WithLabelValues(cause).Observe(gap.Seconds())
}
