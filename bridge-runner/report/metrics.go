// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/time/rate"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

const namespace = "mqttbridge"

// Directions of messages, the values of the label direction.
const (
	LocalToRemote = "local_to_remote"
	RemoteToLocal = "remote_to_local"
)

// Metrics are the metrics of one runner.
type Metrics struct {
	registry *prometheus.Registry

	forwarded, bytes, dropped, resent, redelivered *prometheus.CounterVec
	diskErrors, faults                             *prometheus.CounterVec
	held, inflight                                 *prometheus.GaugeVec
	latency                                        *prometheus.HistogramVec

	connected, active           *prometheus.GaugeVec
	failovers, attempts, probes *prometheus.CounterVec
	switchDuration              *prometheus.HistogramVec

	handshakes        *prometheus.CounterVec
	handshakeDuration *prometheus.HistogramVec

	blocked *prometheus.GaugeVec
	state   *State // that reports messages that no server takes; nil: it is not set yet
}

// NewMetrics returns the metrics of a runner, all of them registered.
func NewMetrics() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
	}
	m := &Metrics{
		registry:    prometheus.NewRegistry(),
		forwarded:   counter("messages_forwarded_total", "Messages acknowledged by the destination, at QoS 0 written to it.", "direction"),
		bytes:       counter("forwarded_bytes_total", "Payload bytes of the messages forwarded.", "direction"),
		dropped:     counter("messages_dropped_total", "Messages not forwarded, by cause.", "direction", "cause"),
		resent:      counter("messages_resent_total", "Messages sent again after a connection was lost. Those that the lost server had taken arrive twice.", "direction"),
		redelivered: counter("messages_redelivered_total", "Messages that the source sent again while they were held, and that were not forwarded twice.", "direction"),
		diskErrors:  counter("buffer_errors_total", "Failures of the buffer on disk: writes, reads, damage found.", "direction"),
		faults:      counter("protocol_faults_total", "Packets from servers of the side that broke the protocol and did not end the connection, by kind. Invalid properties were left out; messages that were dropped are in messages_dropped_total, too.", "side", "kind"),
		held:        gauge("held_messages", "Messages in memory: taken in, or read from the disk, and not acknowledged by the destination.", "direction"),
		inflight:    gauge("inflight_messages", "QoS 1 and 2 messages sent to the destination and not acknowledged.", "direction"),
		latency:     histogram("forwarding_latency_seconds", "From a message's arrival to its acknowledgement by the destination.", prometheus.ExponentialBuckets(0.0001, 2.5, 14), "direction"),
		connected:   gauge("connected", "Whether a server of the side is connected.", "side"),
		active:      gauge("active_server", "Whether the server is the one in use.", "side", "server"),
		failovers:   counter("failovers_total", "Switches from one server of the side to another, by why the first was lost or left.", "side", "cause"),
		attempts:    counter("connection_failures_total", "Attempts to connect that failed, by reason.", "side", "server", "reason"),
		probes:      counter("probes_total", "Probes of servers that are not in use, by result: passed, or why not.", "side", "server", "result"),
		switchDuration: histogram("switch_duration_seconds", "From noticing that the server in use is lost, or holding messages back to leave it, until one is ready.",
			prometheus.ExponentialBuckets(0.001, 2.5, 14), "side"),
		handshakes: counter("tls_handshakes_total", "TLS handshakes that succeeded, full ones and those that resumed a session.", "side", "server", "kind"),
		handshakeDuration: histogram("tls_handshake_duration_seconds", "How long TLS handshakes that succeeded took.",
			prometheus.ExponentialBuckets(0.0005, 2.5, 12), "side", "kind"),
		blocked: gauge("blocked", "Whether a message that no server takes holds up all messages behind it (delivery.unforwardable.policy: Block).", "direction"),
	}
	m.registry.MustRegister(m.blocked, m.forwarded, m.bytes, m.dropped, m.resent, m.redelivered, m.diskErrors, m.faults, m.held, m.inflight, m.latency,
		m.connected, m.active, m.failovers, m.attempts, m.probes, m.switchDuration, m.handshakes, m.handshakeDuration,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// sideMetrics are the metrics of one side.
type sideMetrics struct {
	connectedGauge prometheus.Gauge
	active         *prometheus.GaugeVec
	failovers      *prometheus.CounterVec
	attempts       *prometheus.CounterVec
	probes         *prometheus.CounterVec
	switchDuration prometheus.Observer

	handshakes        *prometheus.CounterVec
	handshakeDuration prometheus.ObserverVec
}

func (m *Metrics) side(name string) sideMetrics {
	label := prometheus.Labels{"side": name}
	return sideMetrics{
		connectedGauge: m.connected.With(label),
		active:         m.active.MustCurryWith(label),
		failovers:      m.failovers.MustCurryWith(label),
		attempts:       m.attempts.MustCurryWith(label),
		probes:         m.probes.MustCurryWith(label),
		switchDuration: m.switchDuration.With(label),

		handshakes:        m.handshakes.MustCurryWith(label),
		handshakeDuration: m.handshakeDuration.MustCurryWith(label),
	}
}

// handshake counts a TLS handshake that succeeded.
func (m *sideMetrics) handshake(server string, h transport.Handshake) {
	kind := "full"
	if h.Resumed {
		kind = "resumed"
	}
	m.handshakes.WithLabelValues(server, kind).Inc()
	m.handshakeDuration.WithLabelValues(kind).Observe(h.Took.Seconds())
}

// init makes the gauges of all servers visible.
func (m *sideMetrics) init(servers []v1alpha1.ServerStatus) {
	m.connectedGauge.Set(0)
	for i := range servers {
		m.active.WithLabelValues(servers[i].Name).Set(0)
	}
}

func (m *sideMetrics) connected(server string) {
	m.connectedGauge.Set(1)
	m.active.WithLabelValues(server).Set(1)
}

func (m *sideMetrics) disconnected(server string) {
	m.connectedGauge.Set(0)
	m.active.WithLabelValues(server).Set(0)
}

// meter counts what one direction's pipe does.
type meter struct {
	forwarded, bytes, resent, redelivered, diskErrors prometheus.Counter
	dropped                                           *prometheus.CounterVec
	held, inflight                                    prometheus.Gauge
	latency                                           prometheus.Observer
	log                                               *slog.Logger
	unrouted                                          map[string]*rate.Limiter // by cause
	blocked                                           prometheus.Gauge
	unforwardable                                     *unforwardable
}

// Meter returns the meter of a direction.
func (m *Metrics) Meter(direction string, log *slog.Logger) delivery.Meter {
	label := prometheus.Labels{"direction": direction}
	return &meter{
		forwarded:   m.forwarded.With(label),
		bytes:       m.bytes.With(label),
		resent:      m.resent.With(label),
		redelivered: m.redelivered.With(label),
		diskErrors:  m.diskErrors.With(label),
		dropped:     m.dropped.MustCurryWith(label),
		held:        m.held.With(label),
		inflight:    m.inflight.With(label),
		latency:     m.latency.With(label),
		log:         Late(log).With("direction", direction), // a pipe's lock is held
		blocked:     m.blocked.With(label),
		unrouted: map[string]*rate.Limiter{
			delivery.DropNoRule:       rate.NewLimiter(rate.Every(refusalLogged), 1),
			delivery.DropInvalidTopic: rate.NewLimiter(rate.Every(refusalLogged), 1),
		},

		unforwardable: m.state.watchUnforwardable(direction, Late(log).With("direction", direction)),
	}
}

// refusalLogged is how often a message is logged that no rule takes. The counter has them
// all.
const refusalLogged = 10 * time.Second

func (m *meter) Forwarded(bytes int, latency time.Duration) {
	m.forwarded.Inc()
	m.bytes.Add(float64(bytes))
	m.latency.Observe(latency.Seconds())
}

func (m *meter) Dropped(cause string) { m.dropped.WithLabelValues(cause).Inc() }

func (m *meter) GivenUp(g delivery.GivenUp) {
	if g.Fate == delivery.FateKept {
		m.blocked.Set(1)
	}
	m.unforwardable.givenUp(g)
}

func (m *meter) Unblocked() {
	m.blocked.Set(0)
	m.unforwardable.unblocked()
}

// Remedies of messages that were dropped because of their topic.
var unroutedRemedy = map[string]string{
	delivery.DropNoRule: "a message came that matches no rule, and was acknowledged and dropped: its subscription is of an earlier manifest, " +
		"which the server keeps in the bridge's session until the bridge connects once with cleanSession: true; or the server changes topics: " +
		"add a rule whose filter matches the topic as it comes",
	delivery.DropInvalidTopic: "the rule's topic makes no valid topic of this one, and the message was acknowledged and dropped: " +
		"the result is empty, longer than 65535 bytes, has a wildcard or NUL, or begins with $ though the rule's topic does not; change the rule's topic or exclude such messages",
}

func (m *meter) Unrouted(topic, cause, filters string) {
	if m.unrouted[cause].Allow() {
		m.log.Warn("a message was dropped because of its topic", "topic", truncate(topic, maxMessage), "cause", cause, "filters", filters, "message", unroutedRemedy[cause])
	}
}

func (m *meter) Resent(messages int) { m.resent.Add(float64(messages)) }

func (m *meter) Redelivered() { m.redelivered.Inc() }

func (m *meter) DiskFailed() { m.diskErrors.Inc() }

func (m *meter) Held(messages, inflight int) {
	m.held.Set(float64(messages))
	m.inflight.Set(float64(inflight))
}
