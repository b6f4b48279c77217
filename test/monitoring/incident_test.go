// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// incident returns the series of half an hour of plant/press. A runner ends and the other one takes
// over. Then both remote servers fail, one after the other, and the primary returns. The scrapes are
// recorded; the values between two of them are calculated. The bridge plant/pair forwards all the
// time, and the bridge default/recorded is not ready.
func incident(t *testing.T) *history {
	t.Helper()
	h, w := newHistory(t), healthy(t)
	w.runner = replace(w.member("1-second", "press-bridge-1"), "bridge", "press")
	w.other = replace(w.member("1-first", "press-bridge-2"), "bridge", "press")
	w.operator = beforeTheFirstPass(w.reports(1, 0, 1))
	h.stay(3*time.Minute, w.targets()...)

	w.other = nil
	w.proceed(h, time.Minute, w.tookOver("1-connected"), w.reports(1, 0, 1))
	w.other = replace(w.member("1-second", "press-bridge-2"), "bridge", "press")
	w.proceed(h, 9*time.Minute, w.tookOver("2-forwarding"), w.reports(1, 0, 1))
	w.proceed(h, 6*time.Minute, w.tookOver("3-on-the-backup"), w.reports(1, 1, 2))
	w.proceed(h, 5*time.Minute, w.tookOver("4-no-server"), w.reports(0, 0, 0))
	w.proceed(h, 4*time.Minute, w.tookOver("5-backlog"), w.reports(0, 0, 0))
	w.proceed(h, 3*time.Minute, rareEvents(t, w.tookOver("6-recovered")), w.reports(1, 1, 1))
	// The last scrape was recorded before the runner had removed all delivered messages from the disk.
	for _, backlog := range []string{"mqttbridge_backlog_messages", "mqttbridge_backlog_bytes"} {
		w.runner = with(t, w.runner, 0, backlog)
	}
	h.stay(2*time.Minute, w.targets()...)
	return h
}

// reports returns the series of the operator. It reports the conditions Ready and Degraded of
// plant/press, and the place of its remote server.
func (w *world) reports(ready, degraded, place float64) []sample {
	w.t.Helper()
	operator := in(load(w.t, "operator/1-running"), "pod", "operator-1", "job", "operator")
	var bridge []sample
	for _, s := range operator {
		if strings.HasPrefix(s.labels.Get(model.MetricNameLabel), "mqttbridge_bridge_") {
			bridge = append(bridge, s)
		}
	}
	bridge = replace(replace(bridge, "namespace", "plant"), "name", "press")
	bridge = with(w.t, bridge, ready, "mqttbridge_bridge_ready")
	bridge = with(w.t, bridge, degraded, "mqttbridge_bridge_degraded")
	bridge = with(w.t, bridge, 0, "mqttbridge_bridge_generation_lag")
	bridge = with(w.t, bridge, 1, "mqttbridge_bridge_active_server_place", "side", "local")
	bridge = with(w.t, bridge, place, "mqttbridge_bridge_active_server_place", "side", "remote")
	return append(operator, bridge...)
}

// tookOver returns a scrape of the outage, by a runner that has taken over from the other one.
func (w *world) tookOver(recording string) []sample {
	w.t.Helper()
	samples := w.outage(recording)
	member := replace(w.member("2-second", "press-bridge-1"), "bridge", "press")
	if w.other != nil {
		member = with(w.t, member, 1, "mqttbridge_member_peer_connected")
	}
	for _, s := range member {
		if strings.HasPrefix(s.labels.Get(model.MetricNameLabel), "mqttbridge_member_") {
			samples = append(samples, s)
		}
	}
	return samples
}

// proceed changes the first runner of plant/press, and the operator, to later scrapes during a time.
func (w *world) proceed(h *history, long time.Duration, runner, operator []sample) {
	w.t.Helper()
	w.operator = operator
	w.runner = applyEvents(w.runner, runner)
	h.grow(long, w, &w.runner, runner)
}

// applyEvents returns the samples with the later values of states and of counts of single events.
// They change at once: a server is not half connected. The other values change evenly.
func applyEvents(from, to []sample) []sample {
	later := map[uint64]float64{}
	for _, s := range to {
		later[s.labels.Hash()] = s.value
	}
	out := slices.Clone(from)
	for i, s := range out {
		value, ok := later[s.labels.Hash()]
		message := strings.HasPrefix(s.labels.Get(model.MetricNameLabel), "mqttbridge_forwarding_latency_")
		if change := math.Abs(value - s.value); ok && !message && change < 5 && change == math.Trunc(change) {
			out[i].value = value
		}
	}
	return out
}
