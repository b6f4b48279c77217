// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// MemberMetrics are the metrics of a process that is a member of a group.
type MemberMetrics struct {
	active, warm, connected prometheus.Gauge
	activations             *prometheus.CounterVec
	gap                     *prometheus.HistogramVec
}

// AddMember adds the metrics of a member. causes are the causes of activations.
func (r *Registry) AddMember(causes []string) *MemberMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
		r.registry.MustRegister(g)
		return g
	}
	m := &MemberMetrics{
		active:    gauge("member_active", "1 while this runner is the active member of its group and forwards, 0 while it is a standby."),
		warm:      gauge("member_warm", "1 if the bridges of this runner can start at once."),
		connected: gauge("member_peer_connected", "1 while this runner is connected to the other member of its group."),
		activations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "member_activations_total", Help: "Number of times that this runner became the active member of its group, by cause.",
		}, []string{"cause"}),
		gap: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "member_gap_seconds", Help: "Time from the end of the earlier active member until a bridge was connected on both sides, in seconds.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"cause"}),
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
