// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
)

// Directions of messages, the values of the label direction.
const (
	LocalToRemote = "localToRemote"
	RemoteToLocal = "remoteToLocal"
)

// Metrics are the metrics of one bridge. They outlive a restart of the bridge in its process:
// counters continue. A [Registry] publishes them.
type Metrics struct {
	// collectors are all metrics. Metrics collects them one after the other, so that a registry
	// with many bridges has one collector per bridge.
	collectors []prometheus.Collector
	// zeros is true if the series of counters begin with 0, see series.go.
	zeros bool

	forwarded, bytes, dropped, resent, redelivered vector
	diskErrors, faults                             vector
	held, inflight                                 vector
	latency                                        *histogram

	connected, active, up                vector
	switches, connectionFailures, probes vector
	switchDuration, silence              *histogram

	handshakes        vector
	handshakeDuration *histogram
	expiry            vector

	capacity vector

	matched, blocked, ignored vector

	backlogs *backlogs
	state    *State // reports unforwardable messages in the status; nil until NewState sets it
	// directions holds the part of each direction that outlives a meter. Meter sets it.
	directions map[string]*direction
}

// NewMetrics returns the metrics of the only bridge of a process.
func NewMetrics() *Metrics { return newMetrics(true) }

// NewSparseMetrics returns the metrics of one of many bridges of a process. A series of a
// counter appears with its first event, because the series that are 0 would need more memory
// than all other parts of a bridge.
func NewSparseMetrics() *Metrics { return newMetrics(false) }

// The buckets of the histograms, which all bridges of a process share.
var (
	latencyBuckets   = prometheus.ExponentialBuckets(0.0001, 2.5, 14)
	switchBuckets    = prometheus.ExponentialBuckets(0.001, 2.5, 14)
	silenceBuckets   = prometheus.ExponentialBuckets(0.01, 2.5, 12)
	handshakeBuckets = prometheus.ExponentialBuckets(0.0005, 2.5, 12)
)

func newMetrics(zeros bool) *Metrics {
	counter := func(name string) vector { return newVector(metriclist.Get(name, metriclist.Counter)) }
	gauge := func(name string) vector { return newVector(metriclist.Get(name, metriclist.Gauge)) }
	m := &Metrics{
		zeros:              zeros,
		backlogs:           newBacklogs(),
		directions:         map[string]*direction{},
		forwarded:          counter("mqttbridge_messages_forwarded_total"),
		bytes:              counter("mqttbridge_forwarded_bytes_total"),
		dropped:            counter("mqttbridge_messages_dropped_total"),
		resent:             counter("mqttbridge_messages_resent_total"),
		redelivered:        counter("mqttbridge_messages_redelivered_total"),
		diskErrors:         counter("mqttbridge_buffer_errors_total"),
		faults:             counter("mqttbridge_protocol_faults_total"),
		held:               gauge("mqttbridge_held_messages"),
		inflight:           gauge("mqttbridge_inflight_messages"),
		latency:            newHistogram("mqttbridge_forwarding_latency_seconds", latencyBuckets),
		connected:          gauge("mqttbridge_connected"),
		active:             gauge("mqttbridge_active_server"),
		up:                 gauge("mqttbridge_server_up"),
		switches:           counter("mqttbridge_switches_total"),
		connectionFailures: counter("mqttbridge_connection_failures_total"),
		probes:             counter("mqttbridge_probes_total"),
		switchDuration:     newHistogram("mqttbridge_switch_duration_seconds", switchBuckets),
		silence:            newHistogram("mqttbridge_loss_silence_seconds", silenceBuckets),
		handshakes:         counter("mqttbridge_tls_handshakes_total"),
		handshakeDuration:  newHistogram("mqttbridge_tls_handshake_duration_seconds", handshakeBuckets),
		expiry:             gauge("mqttbridge_certificate_expiry_timestamp_seconds"),
		capacity:           gauge("mqttbridge_buffer_capacity_bytes"),
		matched:            counter("mqttbridge_rule_messages_total"),
		blocked:            gauge("mqttbridge_blocked"),
		ignored:            gauge("mqttbridge_ignored_fields"),
	}
	m.collectors = []prometheus.Collector{
		m.blocked, m.matched, m.ignored, m.forwarded, m.bytes, m.dropped, m.resent, m.redelivered, m.diskErrors, m.faults, m.held, m.inflight, m.latency,
		m.connected, m.active, m.up, m.switches, m.connectionFailures, m.probes, m.switchDuration, m.silence, m.handshakes, m.handshakeDuration, m.expiry, m.capacity, m.backlogs,
	}
	return m
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, c := range m.collectors {
		c.Describe(descriptions)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(metrics chan<- prometheus.Metric) {
	for _, c := range m.collectors {
		c.Collect(metrics)
	}
}

// SetIgnoredFields sets the number of fields of the manifest that the runner ignores.
func (m *Metrics) SetIgnoredFields(n int) { m.ignored.with().set(float64(n)) }

// sideMetrics are the metrics of one side.
type sideMetrics struct {
	connectedGauge     *series
	active, up         vector
	switches           vector
	connectionFailures vector
	probes             vector
	switchDuration     prometheus.Observer
	silence            prometheus.Observer

	handshakes        vector
	handshakeDuration func(kind string) prometheus.Observer
	expiry            vector

	// remove deletes the series of a server.
	remove func(server string)
	zeros  bool // see Metrics
}

func (m *Metrics) side(name string) sideMetrics {
	return sideMetrics{
		connectedGauge:     m.connected.with(name),
		active:             m.active.of(name),
		up:                 m.up.of(name),
		switches:           m.switches.of(name),
		connectionFailures: m.connectionFailures.of(name),
		probes:             m.probes.of(name),
		switchDuration:     m.observer(m.switchDuration, name),
		silence:            m.observer(m.silence, name),

		handshakes:        m.handshakes.of(name),
		handshakeDuration: func(kind string) prometheus.Observer { return m.handshakeDuration.with(name, kind) },
		expiry:            m.expiry.of(name),

		remove: func(server string) { m.removeServer(name, server) },
		zeros:  m.zeros,
	}
}

// init sets the gauges and counters of all servers to 0, so that they are visible from the
// start.
func (m *sideMetrics) init(servers []v1alpha1.ServerStatus) {
	m.connectedGauge.set(0)
	for i := range servers {
		m.active.with(servers[i].Name).set(0)
	}
	m.initCounters(servers)
}

func (m *sideMetrics) connected(server string) {
	m.connectedGauge.set(1)
	m.active.with(server).set(1)
}

func (m *sideMetrics) disconnected(server string) {
	m.connectedGauge.set(0)
	m.active.with(server).set(0)
}

// setState sets the gauges of a server as its state requires.
func (m *sideMetrics) setState(e *v1alpha1.ServerStatus) {
	active := e.State == v1alpha1.ServerActive
	gauge := m.active.with(e.Name)
	gauge.set(0)
	if active {
		gauge.set(1)
	}
	if active || e.State == v1alpha1.ServerFailed {
		m.setUp(e.Name, active)
	}
}

// setUp records whether the latest use or probe of a server has succeeded.
func (m *sideMetrics) setUp(server string, up bool) {
	value := 0.0
	if up {
		value = 1
	}
	m.up.with(server).set(value)
}
