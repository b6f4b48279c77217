// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package takeovers

import (
	"slices"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// judge ends the streams, compares them, and records and checks the result of each repetition.
func (w *world) judge() {
	w.Helper()
	counted := w.streams
	if !w.scenario.interrupted {
		counted = slices.Concat(counted, w.changing)
	}
	for _, s := range counted {
		s.finish(w)
	}
	w.visitAll()
	timeout := drainTimeout
	if slices.ContainsFunc(w.windows, func(p window) bool { return p.mayLose }) {
		timeout = lossTimeout
	}
	for _, s := range counted {
		s.compare(w, timeout)
	}
	control := w.control.Arrivals()
	for i := range w.windows {
		p := &w.windows[i]
		r := result{event: p.event, control: max(traffic.Gap(p.from, p.to, control)-time.Second/rate, 0)}
		for _, s := range w.streams {
			r.gap = max(r.gap, s.gap(p.from, p.to))
		}
		for _, s := range counted {
			w.count(s, i, &r)
		}
		w.check(&r)
		results.results = append(results.results, r)
	}
}

// count counts the messages of a stream that were lost or arrived twice because of a repetition.
func (w *world) count(s *stream, repetition int, r *result) {
	for _, p := range s.parts {
		for _, seq := range p.report.Lost {
			if w.during(p.ledger.Acknowledged[seq]) == repetition {
				r.lost[s.direction]++
			}
		}
		for _, a := range p.report.DuplicateArrivals {
			if w.during(a.Time) == repetition {
				r.repeated[s.direction]++
			}
		}
	}
}

// during returns the repetition to which a time belongs: the latest that had begun.
func (w *world) during(t time.Time) int {
	i := len(w.windows) - 1
	for i > 0 && t.Before(w.windows[i].from) {
		i--
	}
	return i
}

// check checks a repetition. The delays of the machine itself are tolerated.
func (w *world) check(r *result) {
	w.Helper()
	w.Logf("%s: gap %s, control %s, lost %s, twice %s", r.name, r.gap, r.control, r.lost, r.repeated)
	if r.lost != (counts{}) && !r.mayLose || r.repeated != (counts{}) {
		w.Errorf("%s: %s messages were lost and %s arrived twice (local to remote / remote to local)", r.name, r.lost, r.repeated)
	}
	limit := r.limit
	if !*full {
		limit *= busy
	}
	limit += hops * r.control
	if r.limit > 0 && r.gap > limit {
		w.Errorf("%s: no message arrived for %s, want at most %s (load %s)", r.name, r.gap, limit, load())
	}
}
