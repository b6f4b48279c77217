// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const namespace = "mqttbridge"

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
	counter := func(name, help string, labels ...string) vector {
		return newVector(prometheus.CounterValue, name, help, labels)
	}
	gauge := func(name, help string, labels ...string) vector {
		return newVector(prometheus.GaugeValue, name, help, labels)
	}
	m := &Metrics{
		zeros:              zeros,
		backlogs:           newBacklogs(),
		directions:         map[string]*direction{},
		forwarded:          counter("messages_forwarded_total", "Number of messages that the destination has acknowledged. A QoS 0 message counts when it is written to the connection.", "direction"),
		bytes:              counter("forwarded_bytes_total", "Payload size of the forwarded messages, in bytes.", "direction"),
		dropped:            counter("messages_dropped_total", "Number of messages that were dropped, by cause. docs/operations.md explains the causes.", "direction", "cause"),
		resent:             counter("messages_resent_total", "Number of messages that were sent again after a connection was lost. A message that the lost server had already accepted arrives twice.", "direction"),
		redelivered:        counter("messages_redelivered_total", "Number of messages that the source sent again while the runner held them. They are forwarded only once.", "direction"),
		diskErrors:         counter("buffer_errors_total", "Number of failures of the buffer on disk: failed writes, failed reads and damaged files.", "direction"),
		faults:             counter("protocol_faults_total", "Number of packets from servers of the side that violated the protocol and did not end the connection, by kind. docs/operations.md explains the kinds. Invalid properties are removed; messages that are dropped are also counted in mqttbridge_messages_dropped_total.", "side", "kind"),
		held:               gauge("held_messages", "Number of messages in memory: received, or read from the disk, and not acknowledged by the destination.", "direction"),
		inflight:           gauge("inflight_messages", "Number of QoS 1 and 2 messages that were sent to the destination and are not acknowledged.", "direction"),
		latency:            newHistogram("forwarding_latency_seconds", "Time from the arrival of a message until the destination acknowledges it, in seconds. At QoS 0, the time ends when the message is written to the connection.", latencyBuckets, []string{"direction"}),
		connected:          gauge("connected", "State of the side: 1 if a server is connected, otherwise 0.", "side"),
		active:             gauge("active_server", "State of the server: 1 if it is active, otherwise 0.", "side", "server"),
		up:                 gauge("server_up", "State of the server: 1 if it is active, or if its latest attempt or probe has succeeded; 0 if it was lost, or if its latest attempt or probe has failed. It is absent before the first attempt or probe.", "side", "server"),
		switches:           counter("switches_total", "Number of changes from one server of the side to another, by cause: the reason for the loss of the previous server, FailedBack, SwitchRequested or ServerRemoved.", "side", "cause"),
		connectionFailures: counter("connection_failures_total", "Number of failed attempts to connect, by reason.", "side", "server", "reason"),
		probes:             counter("probes_total", "Number of probes of servers that are not active, by result: passed, or the reason for the failure.", "side", "server", "result"),
		switchDuration: newHistogram("switch_duration_seconds", "Time without a server that accepts messages, in seconds: from the loss of the active server, or from the start of the drain before a switch, until a server is ready.",
			switchBuckets, []string{"side"}),
		silence: newHistogram("loss_silence_seconds", "Time for which the lost server had not answered when the bridge detected the loss, in seconds: since its latest acknowledgement if messages were in flight, or since it last sent anything if it did not answer a ping; otherwise 0.",
			silenceBuckets, []string{"side"}),
		handshakes: counter("tls_handshakes_total", "Number of successful TLS handshakes, by kind: full, or resumed if it resumed a TLS session.", "side", "server", "kind"),
		handshakeDuration: newHistogram("tls_handshake_duration_seconds", "Duration of successful TLS handshakes, in seconds.",
			handshakeBuckets, []string{"side", "kind"}),
		expiry:   gauge("certificate_expiry_timestamp_seconds", "Time at which the certificate expires, as Unix time in seconds, by kind: server (the server's own certificate), ca (the certificate of the trusted authority at the end of its chain) or client (the client certificate of the bridge). The latest successful TLS handshake sets it; it is absent before the first one.", "side", "server", "kind"),
		capacity: gauge("buffer_capacity_bytes", "Size up to which a direction buffers messages, in bytes, by medium: memory (separately for QoS 0, and for QoS 1 and 2) or disk, which is absent without a buffer on disk.", "direction", "medium"),
		matched:  counter("rule_messages_total", "Number of messages that the filter of the rule matched, by result: routed (passed on to the destination), or the cause for which this rule did not forward the message.", "direction", "rule", "result"),
		blocked:  gauge("blocked", "State of the direction: 1 if an unforwardable message blocks all messages behind it (delivery.unforwardable.policy: Block), otherwise 0.", "direction"),
		ignored:  gauge("ignored_fields", "Number of fields of the manifest that this version of the runner does not know and ignores."),
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
