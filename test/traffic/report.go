// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Report compares the published messages with the arrivals.
type Report struct {
	Sent, Acknowledged int
	// Arrived is the number of different messages that arrived from any server.
	Arrived int
	// Lost lists the messages that were acknowledged to the publisher and did not arrive from any
	// server.
	Lost []uint64
	// Duplicates is the number of arrivals that were not the first arrival of their message. It
	// excludes Repeats and PublisherRepeats.
	Duplicates int
	// DuplicateArrivals lists the arrivals that Duplicates counts.
	DuplicateArrivals []Arrival
	// Repeats is the number of further arrivals that the server itself marked with DUP.
	Repeats int
	// PublisherRepeats is the number of further arrivals of messages that the publisher sent more
	// than once.
	PublisherRepeats int
	// Disorder lists the arrivals that violated the order.
	Disorder []Disorder
	// LongestGap is the longest time between consecutive first arrivals, and GapEnd is the time at
	// which it ended.
	LongestGap time.Duration
	GapEnd     time.Time
}

// Disorder is a message that arrived after a message that was published later.
type Disorder struct {
	Server     string
	Seq, After uint64
	// FromOtherServer is set if the message also arrived from another server.
	FromOtherServer bool
}

func arrivedElsewhere(arrivals []Arrival, a Arrival) bool {
	return slices.ContainsFunc(arrivals, func(b Arrival) bool { return b.Seq == a.Seq && b.Server != a.Server })
}

// Compare returns the report on one stream.
//
// The order is checked per server: messages that a server has not sent before must arrive in
// ascending order. A window that is resent in order after a switch is in order. Messages of two
// servers are not compared by time, because their connections to the collector race.
func Compare(l Ledger, arrivals []Arrival) Report {
	type place struct {
		server string
		seq    uint64
	}
	var (
		r         = Report{Sent: int(l.Sent), Acknowledged: len(l.Acknowledged)}
		seen      = map[uint64]bool{}
		seenAt    = map[place]bool{}
		newest    = map[string]uint64{}
		published = map[uint64]int{}
		last      time.Time
	)
	for _, a := range arrivals {
		first, firstHere := !seen[a.Seq], !seenAt[place{a.Server, a.Seq}]
		seen[a.Seq], seenAt[place{a.Server, a.Seq}] = true, true
		switch {
		case first:
			if gap := a.Time.Sub(last); !last.IsZero() && gap > r.LongestGap {
				r.LongestGap, r.GapEnd = gap, a.Time
			}
			last = a.Time
		case a.Dup && !firstHere:
			r.Repeats++
		case published[a.Seq] < l.Resent[a.Seq]:
			published[a.Seq]++
			r.PublisherRepeats++
		default:
			r.Duplicates++
			r.DuplicateArrivals = append(r.DuplicateArrivals, a)
		}
		if firstHere {
			if a.Seq < newest[a.Server] {
				r.Disorder = append(r.Disorder, Disorder{a.Server, a.Seq, newest[a.Server], arrivedElsewhere(arrivals, a)})
			}
			newest[a.Server] = max(newest[a.Server], a.Seq)
		}
	}
	r.Arrived = len(seen)
	for seq := range l.Acknowledged {
		if !seen[seq] {
			r.Lost = append(r.Lost, seq)
		}
	}
	slices.Sort(r.Lost)
	return r
}

// String returns the report in one line.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "sent %d, acknowledged %d, arrived %d, lost %d, duplicates %d", r.Sent, r.Acknowledged, r.Arrived, len(r.Lost), r.Duplicates)
	if r.Repeats+r.PublisherRepeats > 0 {
		fmt.Fprintf(&b, " (and %d repeated by a server, %d by the publisher)", r.Repeats, r.PublisherRepeats)
	}
	fmt.Fprintf(&b, ", out of order %d, longest gap %s", len(r.Disorder), r.LongestGap.Round(100*time.Microsecond))
	if n := len(r.Lost); n > 0 {
		fmt.Fprintf(&b, "; lost: %v", r.Lost[:min(n, 20)])
	}
	if n := len(r.Disorder); n > 0 {
		fmt.Fprintf(&b, "; out of order: %v", r.Disorder[:min(n, 10)])
	}
	return b.String()
}

// Silence is a time without a message.
type Silence struct{ From, To time.Time }

// Length returns the length of the silence. It is never negative.
func (s Silence) Length() time.Duration { return max(s.To.Sub(s.From), 0) }

// Overlap returns how long both silences last at the same time.
func (s Silence) Overlap(other Silence) time.Duration {
	if other.From.After(s.From) {
		s.From = other.From
	}
	if other.To.Before(s.To) {
		s.To = other.To
	}
	return s.Length()
}

// Silences returns the times between consecutive first arrivals of one or more streams that are treated as
// one, if they ended between the given times.
func Silences(from, to time.Time, streams ...[]Arrival) (silences []Silence) {
	var times []time.Time
	for _, arrivals := range streams {
		seen := map[uint64]bool{}
		for _, a := range arrivals {
			if !seen[a.Seq] && a.Time.Before(to) {
				times = append(times, a.Time)
			}
			seen[a.Seq] = true
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	for i, t := range times {
		if i > 0 && t.After(from) {
			silences = append(silences, Silence{times[i-1], t})
		}
	}
	return silences
}

// Latencies returns the sorted times from the publisher to the collector, for first arrivals.
func Latencies(arrivals []Arrival) []time.Duration {
	seen := map[uint64]bool{}
	var out []time.Duration
	for _, a := range arrivals {
		if !seen[a.Seq] {
			seen[a.Seq] = true
			out = append(out, a.Time.Sub(a.Sent))
		}
	}
	slices.Sort(out)
	return out
}
