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
	for _, s := range counted {
		s.compare(w)
	}
	control := w.control.Arrivals()
	for i := range w.windows {
		p := &w.windows[i]
		silent := traffic.Excess(time.Second/rate, p.from, p.to, control)
		standstills := traffic.NewStandstills(silent)
		r := result{event: p.event, gap: p.measured, own: p.measured}
		longest, _ := standstills.Longest(silent)
		r.control = longest.Length()
		for _, s := range w.streams {
			gap, own := standstills.Longest(s.silences(p.from, p.to))
			if gap.Length() > r.gap {
				r.gap, r.began = gap.Length(), gap.From.Sub(p.from)
			}
			r.own = max(r.own, own)
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

// check checks a repetition.
func (w *world) check(r *result) {
	w.Helper()
	w.Logf("%s: gap %s, %s after the start of the event, own gap %s, control %s, lost %s, twice %s",
		r.name, r.gap, r.began, r.own, r.control, r.lost, r.repeated)
	if r.lost != (counts{}) {
		w.Errorf("%s: %s messages were lost (local to remote / remote to local)", r.name, r.lost)
	}
	if most := r.mostRepeated(); max(r.repeated[up], r.repeated[down]) > most {
		w.Errorf("%s: %s messages arrived twice (local to remote / remote to local), want at most %d", r.name, r.repeated, most)
	}
	if limit := tolerated(r.limit); r.limit > 0 && r.baseline == nil && r.own > limit {
		w.Errorf("%s: the own gap is %s, want at most %s (gap %s, control %s, load %s)", r.name, r.own, limit, r.gap, r.control, load())
	}
}

// tolerated returns a limit for the machine on which the tests run.
func tolerated(limit time.Duration) time.Duration {
	if *full {
		return limit
	}
	return limit * busy
}

// mostRepeated returns the number of messages of a direction that may arrive twice. On a busy machine, the
// source has not yet processed the acknowledgements of all messages that the destination has acknowledged.
func (e *event) mostRepeated() int {
	switch {
	case !e.mayRepeat:
		return 0
	case *full:
		return inflight
	}
	return inflight * windows
}
