// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// A world has the samples of all targets at one time. The scrapes are recorded; a test changes
// values to reach a situation that the recorded processes were not in.
type world struct {
	t             *testing.T
	runner        []sample // the only runner of plant/press, or one of two
	other         []sample // the other runner of plant/press, if it has two
	first, second []sample // the runners of plant/pair
	operator      []sample
	pods          []sample // of kube-state-metrics
}

// stateOfPods has the series that kube-state-metrics serves for the pod of plant/press.
const stateOfPods = `kube_pod_container_status_restarts_total{namespace="plant",pod="press-bridge-1",uid="1",container="bridge-runner"} 0
kube_pod_container_status_last_terminated_reason{namespace="plant",pod="press-bridge-1",uid="1",container="bridge-runner",reason="OOMKilled"} 0
`

// healthy returns a world in which all bridges forward.
func healthy(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	w.runner = w.longCertificates(w.outage("2-forwarding"))
	w.first, w.second = w.member("1-first", "pair-bridge-1"), w.member("1-second", "pair-bridge-2")
	w.operator = in(load(t, "operator/1-running"), "pod", "operator-1", "job", "operator")
	w.operator = with(t, w.operator, 1, "mqttbridge_bridge_ready")
	w.operator = with(t, w.operator, 1, "mqttbridge_bridge_active_server_place")
	w.operator = with(t, w.operator, 0, "mqttbridge_bridge_generation_lag")
	w.pods = parse(t, []byte(stateOfPods))
	return w
}

func (w *world) clone() *world {
	c := *w
	return &c
}

func (w *world) targets() [][]sample {
	return [][]sample{w.runner, w.other, w.first, w.second, w.operator, w.pods}
}

// outage returns a scrape of the runner that loses its remote servers.
func (w *world) outage(recording string) []sample {
	w.t.Helper()
	return in(load(w.t, "outage/"+recording), "namespace", "plant", "bridge", "press", "pod", "press-bridge-1", "container", "bridge-runner", "job", "runners")
}

// member returns a scrape of one of two runners.
func (w *world) member(recording, pod string) []sample {
	w.t.Helper()
	return in(load(w.t, "pair/"+recording), "namespace", "plant", "bridge", "pair", "pod", pod, "container", "bridge-runner", "job", "runners")
}

// longCertificates makes the certificates of the tests, which are short-lived, valid for a year.
func (w *world) longCertificates(samples []sample) []sample {
	w.t.Helper()
	year := recordedAt(w.t).Add(365 * 24 * time.Hour)
	return with(w.t, samples, float64(year.Unix()), "mqttbridge_certificate_expiry_timestamp_seconds")
}

// replace returns the samples with another value of a label.
func replace(samples []sample, name, value string) []sample {
	out := make([]sample, len(samples))
	for i, s := range samples {
		out[i] = sample{labels.NewBuilder(s.labels).Set(name, value).Labels(), s.value}
	}
	return out
}

// between returns samples whose values are between two scrapes of the same target.
func between(from, to []sample, part float64) []sample {
	before := map[uint64]float64{}
	for _, s := range from {
		before[s.labels.Hash()] = s.value
	}
	out := make([]sample, len(to))
	for i, s := range to {
		first, ok := before[s.labels.Hash()]
		if !ok {
			first = s.value
		}
		out[i] = sample{s.labels, first + part*(s.value-first)}
	}
	return out
}

// grow changes one target of a world from one scrape to another during a time.
func (h *history) grow(long time.Duration, w *world, target *[]sample, to []sample) {
	h.t.Helper()
	from, steps := *target, int(long/scrapeInterval)
	for i := range steps {
		*target = between(from, to, float64(i+1)/float64(steps))
		h.stay(scrapeInterval, w.targets()...)
	}
}

// A situation is the reason for an alert.
type situation struct {
	alert, severity string
	want            map[string]string // labels of the alert
	happens         func(h *history, w *world)
}

var (
	press    = map[string]string{"namespace": "plant", "bridge": "press"}
	pair     = map[string]string{"namespace": "plant", "bridge": "pair"}
	recorded = map[string]string{"namespace": "default", "name": "recorded"}
)

// and returns labels with further ones.
func and(base map[string]string, pairs ...string) map[string]string {
	out := map[string]string{}
	for name, value := range base {
		out[name] = value
	}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}
