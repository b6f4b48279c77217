// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// meter counts the events of one direction's pipe. It implements delivery.Meter.
type meter struct {
	forwarded, bytes, resent, redelivered, diskErrors *series
	dropped                                           vector
	held, inflight                                    *series
	latency                                           prometheus.Observer
	log                                               *slog.Logger
	unroutedLimits                                    map[string]*rate.Limiter // by cause
	blocked                                           *series
	unforwardable                                     *unforwardableReporter

	// routed and matched count the messages of each rule; routed is the counter of the result
	// routed. Both are in the order of the rules.
	routed  []*series
	matched []vector
	// removeSeries removes the series of the rules that later meters of the direction do not have.
	removeSeries func()
}

// resultRouted is the result of a message that a rule passed on to the destination.
const resultRouted = "routed"

// Meter returns the meter of a direction with these rules. If the direction had other rules, the
// pipe must be updated with this meter: the counters of the rules that it still has continue, and
// the series of the others are removed. Meter must not be called by two goroutines at the same
// time, and not during [delivery.Pipe.Update].
func (m *Metrics) Meter(name string, rules []manifest.Rule, log *slog.Logger) delivery.Meter {
	log = Async(log).With("direction", name) // Async, because the caller holds a pipe's lock
	d := m.directionNamed(name, log)
	out := &meter{
		forwarded:   m.forwarded.with(name),
		bytes:       m.bytes.with(name),
		resent:      m.resent.with(name),
		redelivered: m.redelivered.with(name),
		diskErrors:  m.diskErrors.with(name),
		dropped:     m.dropped.of(name),
		held:        m.held.with(name),
		inflight:    m.inflight.with(name),
		latency:     m.observer(m.latency, name),
		log:         log,
		blocked:     m.blocked.with(name),
		unroutedLimits: map[string]*rate.Limiter{
			delivery.DropNoRule:       rate.NewLimiter(rate.Every(unroutedLogInterval), 1),
			delivery.DropInvalidTopic: rate.NewLimiter(rate.Every(unroutedLogInterval), 1),
		},

		unforwardable: d.unforwardable,
	}
	initSeries(m.zeros, out.dropped, delivery.DropCauses...)
	names := ruleNames(rules)
	out.removeSeries = func() { m.removeSeries(name, names) }
	before := d.rules
	d.rules = names
	m.removeSeries(name, before)
	for i := range rules {
		matched := m.matched.of(name, rules[i].Name)
		out.matched, out.routed = append(out.matched, matched), append(out.routed, matched.with(resultRouted))
	}
	return out
}

// unroutedLogInterval is the shortest time between two log lines about messages that were
// dropped because of their topic, for each cause. The counter includes all messages.
const unroutedLogInterval = 10 * time.Second

func (m *meter) Forwarded(bytes int, latency time.Duration) {
	m.forwarded.inc()
	m.bytes.add(bytes)
	m.latency.Observe(latency.Seconds())
}

func (m *meter) Dropped(cause string) { m.dropped.with(cause).inc() }

func (m *meter) Matched(rule int, cause string) {
	if cause == "" {
		m.routed[rule].inc()
		return
	}
	m.matched[rule].with(cause).inc()
}

func (m *meter) Unforwardable(g delivery.UnforwardableMessage) {
	if g.Fate == delivery.FateBlocks {
		m.blocked.set(1)
	}
	m.unforwardable.report(g)
}

func (m *meter) Unblocked() {
	m.blocked.set(0)
	m.unforwardable.reportUnblocked()
}

// unroutedRemedy explains, by cause, why messages are dropped because of their topic, and the
// remedy.
var unroutedRemedy = map[string]string{
	delivery.DropNoRule: "the topic matches no rule, so the message is acknowledged and dropped; if the session on the server still has a subscription of an earlier manifest, " +
		"connect once with cleanSession: true to remove it; if the server changes topics, " +
		"add a rule whose filter matches the topic as the server sends it",
	delivery.DropInvalidTopic: "the rule's topic produces no valid topic for this message, so the message is acknowledged and dropped; " +
		"the result is empty, is longer than 65535 bytes, contains a wildcard or NUL, or begins with $ although the rule's topic does not; change the rule's topic, or exclude such messages",
}

func (m *meter) Unrouted(topic, cause, rules string) {
	if m.unroutedLimits[cause].Allow() {
		m.log.Warn("a message was dropped because of its topic", "topic", truncate(topic, maxMessage), "cause", cause, "rules", rules, "message", unroutedRemedy[cause])
	}
}

func (m *meter) Resent(messages int) { m.resent.add(messages) }

func (m *meter) Redelivered() { m.redelivered.inc() }

func (m *meter) DiskFailed() { m.diskErrors.inc() }

func (m *meter) SetHeld(messages, inflight int) {
	m.held.set(float64(messages))
	m.inflight.set(float64(inflight))
}
