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

// fault is a fault that the test caused on a line.
type fault struct {
	name     string
	from, to time.Time
	// doubles is the highest QoS, by direction, at which a message in transit may arrive twice.
	doubles [2]byte
}

// history lists the faults of a line, in order.
type history []fault

func (h *history) add(f fault) { *h = append(*h, f) }

// inTransit is the time after its arrival within which a message without a fault may still wait for
// its last acknowledgement.
const inTransit = 2 * ackTimeout // on each side

// explained reports whether faults explain the second arrival of a message of the stream: a fault
// must have happened while the message was in transit, and from then on a fault that can duplicate
// it. They may be different faults, because a message can wait at a server that the bridge has
// left.
func (h history) explained(s *stream, first, again traffic.Arrival) bool {
	met, doubled := false, false
	for _, f := range h {
		if again.Time.Before(f.from) || again.Sent.After(f.to) {
			continue
		}
		met = met || first.Time.After(f.from.Add(-inTransit))
		doubled = doubled || f.doubles[s.direction] >= s.qos
	}
	return met && doubled
}

// shownFaults is the number of faults that a failure message contains.
const shownFaults = 8

// until returns the latest faults that began before end, as text.
func (h history) until(end time.Time) string {
	h = slices.DeleteFunc(slices.Clone(h), func(f fault) bool { return f.from.After(end) })
	slices.SortStableFunc(h, func(a, b fault) int { return a.from.Compare(b.from) })
	var b strings.Builder
	for _, f := range h[max(0, len(h)-shownFaults):] {
		fmt.Fprintf(&b, "\n  %s  %s", clock(f.from), f.name)
	}
	return b.String()
}

// check fails the test if a stream violates the guarantees: a message acknowledged so far does not
// arrive, arrives out of order, or arrives twice without a fault that explains it.
func (l *line) check(streams ...*stream) {
	l.Helper()
	for _, s := range streams {
		l.checkStream(s)
	}
}

func (l *line) checkStream(s *stream) {
	l.Helper()
	ledger := s.publisher.Ledger()
	arrived := s.collector.WaitAll(ledger, drainTimeout)
	// Read the ledger after the arrivals that it explains: the publisher may have resent messages
	// during the wait.
	arrivals := s.collector.Arrivals()
	r := traffic.Compare(s.publisher.Ledger(), arrivals)
	if arrived != nil {
		l.fatalf("stream %s: acknowledged messages are lost: %v\n%s", s.name, arrived, r)
	}
	for _, d := range r.Disorder {
		// If an acknowledgement to the source was lost, the source resends a message that another
		// server already has, behind newer messages.
		if !d.FromOtherServer {
			l.fatalf("stream %s: message %d arrived after %d", s.name, d.Seq, d.After)
		}
	}
	for _, again := range r.DuplicateArrivals {
		first := arrivals[slices.IndexFunc(arrivals, func(a traffic.Arrival) bool { return a.Seq == again.Seq })]
		if !l.history.explained(s, first, again) && !s.restarted(again) {
			l.fatalUntil(again.Time, "stream %s: message %d, sent at %s, arrived at %s and again at %s", s.name, again.Seq, clock(again.Sent), clock(first.Time), clock(again.Time))
		}
	}
}

// restarted reports whether the source itself violated the protocol and sent the message again as a
// new message.
func (s *stream) restarted(m traffic.Arrival) bool {
	text := string(m.Encode(0))
	return slices.ContainsFunc(s.from.cutter.Restarts(), func(r string) bool { return strings.HasSuffix(r, text) })
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

// report logs the results of the streams.
func (l *line) report() {
	l.Helper()
	for _, s := range l.streams {
		l.Logf("stream %s: %s", s.name, traffic.Compare(s.publisher.Ledger(), s.collector.Arrivals()))
	}
}
