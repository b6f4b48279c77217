// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
	"github.com/mqttbridge/mqttbridge-operator/internal/buildinfo"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
)

// The functions of this file create the series of counters with the value 0. A series that
// begins with 1 would hide the first event: rate and increase need an earlier value. The
// exceptions are the results of rules, because a bridge may have many rules, and the bridges of
// a process with many bridges, see NewSparseMetrics.

// Values of the label kind of mqttbridge_tls_handshakes_total.
const (
	handshakeFull    = "full"
	handshakeResumed = "resumed"
)

// probePassed is the result of a probe that has passed.
const probePassed = "passed"

// initCounters creates the series of a side with these servers. It does not change series that
// exist.
func (m *sideMetrics) initCounters(servers []v1alpha1.ServerStatus) {
	reasons := diagnosis.ServerReasons()
	for i := range servers {
		name := servers[i].Name
		initSeries(m.zeros, m.connectionFailures.of(name), reasons...)
		if address, err := manifest.ParseURL(servers[i].URL); err == nil && address.TLS {
			initSeries(m.zeros, m.handshakes.of(name), handshakeFull, handshakeResumed)
		}
		if len(servers) > 1 { // otherwise there is no server to probe, and none to change to
			initSeries(m.zeros, m.probes.of(name), append(reasons, probePassed)...)
		}
	}
	if len(servers) > 1 {
		initSeries(m.zeros, m.switches, append(reasons, v1alpha1.ReasonFailedBack, v1alpha1.ReasonSwitchRequested, v1alpha1.ReasonServerRemoved)...)
	}
}

// removeServer deletes the series of a server of a side.
func (m *Metrics) removeServer(side, server string) {
	for _, v := range []vector{m.active, m.up, m.connectionFailures, m.probes, m.handshakes, m.expiry} {
		v.remove(side, server)
	}
}

// initSeries creates a series for each value of the only label that is left, if zeros is true.
func initSeries(zeros bool, counter vector, values ...string) {
	if !zeros {
		return
	}
	for _, value := range values {
		counter.with(value)
	}
}

// handshake counts a TLS handshake that succeeded.
func (m *sideMetrics) handshake(server string, h transport.Handshake) {
	kind := handshakeFull
	if h.Resumed {
		kind = handshakeResumed
	}
	m.handshakes.with(server, kind).inc()
	m.handshakeDuration(kind).Observe(h.Duration.Seconds())
	for kind, at := range map[string]time.Time{"server": h.Expiry.Server, "ca": h.Expiry.Authority, "client": h.Expiry.Client} {
		if !at.IsZero() {
			m.expiry.with(server, kind).set(float64(at.Unix()))
		}
	}
}

// buildInfo returns the metric that identifies the program.
func buildInfo() prometheus.Collector {
	m := metriclist.Get("mqttbridge_build_info", metriclist.Gauge)
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: m.Name, Help: m.Help, ConstLabels: buildinfo.Labels()}, func() float64 { return 1 })
}

// observer returns the series of a histogram with one label. Without zeros, it appears with the
// first observation.
func (m *Metrics) observer(h *histogram, label string) prometheus.Observer {
	if m.zeros {
		return h.with(label)
	}
	return &lateObserver{with: func() prometheus.Observer { return h.with(label) }}
}

// lateObserver makes its histogram at the first observation.
type lateObserver struct {
	with func() prometheus.Observer
	once sync.Once
	made prometheus.Observer
}

// Observe implements prometheus.Observer.
func (o *lateObserver) Observe(value float64) {
	o.once.Do(func() { o.made = o.with() })
	o.made.Observe(value)
}
