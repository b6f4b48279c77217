// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// fault is something that was done to a line.
type fault struct {
	name     string
	from, to time.Time
	// doubles is the highest QoS, by direction, at which a message that was on its way
	// may come twice.
	doubles [2]byte
}

// history is what was done to a line, in order.
type history []fault

func (h *history) add(f fault) { *h = append(*h, f) }

// onItsWay is how long after its arrival a message may still be without its last
// acknowledgement, with no fault.
const onItsWay = 2 * ackTimeout // of each side

// explained reports whether there are faults by which a message of that stream may have
// come twice: one that met it on its way, and from then on one that can double it. They
// need not be the same: a message waits at a server that the bridge has left.
func (h history) explained(s *stream, first, again traffic.Arrival) bool {
	met, doubled := false, false
	for _, f := range h {
		if again.Time.Before(f.from) || again.Sent.After(f.to) {
			continue
		}
		met = met || first.Time.After(f.from.Add(-onItsWay))
		doubled = doubled || f.doubles[s.direction] >= s.qos
	}
	return met && doubled
}

// shownFaults are enough to see what led to a failure.
const shownFaults = 8

// until returns the faults that began before an instant, the latest of them, as text.
func (h history) until(end time.Time) string {
	h = slices.DeleteFunc(slices.Clone(h), func(f fault) bool { return f.from.After(end) })
	slices.SortStableFunc(h, func(a, b fault) int { return a.from.Compare(b.from) })
	var b strings.Builder
	for _, f := range h[max(0, len(h)-shownFaults):] {
		fmt.Fprintf(&b, "\n  %s  %s", clock(f.from), f.name)
	}
	return b.String()
}

// check ends the test where a stream breaks the promise: what was acknowledged until
// now does not arrive, comes out of order, or comes twice with no fault to explain it.
func (l *line) check(streams ...*stream) {
	l.Helper()
	for _, s := range streams {
		l.checkStream(s)
	}
}

func (l *line) checkStream(s *stream) {
	l.Helper()
	ledger := s.publisher.Ledger()
	arrived := s.collector.WaitAll(ledger, wholly)
	// Those that came meanwhile may be repeated by the publisher meanwhile.
	arrivals := s.collector.Arrivals()
	r := traffic.Compare(s.publisher.Ledger(), arrivals)
	if arrived != nil {
		l.fatalf("stream %s: acknowledged to the publisher and lost: %v\n%s", s.name, arrived, r)
	}
	for _, d := range r.Disorder {
		// Where an acknowledgement to the source was lost, the source sends again what
		// another server already has, and behind newer ones.
		if !d.Again {
			l.fatalf("stream %s: message %d came after %d", s.name, d.Seq, d.After)
		}
	}
	for _, again := range r.Doubles {
		first := arrivals[slices.IndexFunc(arrivals, func(a traffic.Arrival) bool { return a.Seq == again.Seq })]
		if !l.history.explained(s, first, again) && !s.restarted(again) {
			l.fatalUntil(again.Time, "stream %s: message %d, sent at %s, came at %s and again at %s", s.name, again.Seq, clock(again.Sent), clock(first.Time), clock(again.Time))
		}
	}
}

// restarted reports whether the source itself sent the message a second time as if it
// were new, against the protocol.
func (s *stream) restarted(m traffic.Arrival) bool {
	text := string(m.Encode(0))
	return slices.ContainsFunc(s.from.cutter.Restarts(), func(r string) bool { return strings.HasSuffix(r, text) })
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

// report logs what became of the streams.
func (l *line) report() {
	l.Helper()
	for _, s := range l.streams {
		l.Logf("stream %s: %s", s.name, traffic.Compare(s.publisher.Ledger(), s.collector.Arrivals()))
	}
}
