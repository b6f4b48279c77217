// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Report compares what was published with what arrived.
type Report struct {
	Sent, Acknowledged int
	// Arrived is how many different messages came from any server.
	Arrived int
	// Lost are the messages that were acknowledged to the publisher and came from
	// no server.
	Lost []uint64
	// Duplicates is how many arrivals were not the first of their message, without
	// the two below.
	Duplicates int
	// Doubles are the arrivals that Duplicates counts.
	Doubles []Arrival
	// Repeats are second arrivals that the server itself marked as such.
	Repeats int
	// PublisherRepeats are second arrivals of what the publisher sent twice.
	PublisherRepeats int
	// Disorder lists the arrivals that broke the order.
	Disorder []Disorder
	// LongestGap is the longest time between consecutive first arrivals, and
	// GapEnd when it ended.
	LongestGap time.Duration
	GapEnd     time.Time
}

// Disorder is a message that came after one that was published later.
type Disorder struct {
	Server     string
	Seq, After uint64
	// Again says that it came from another server, too.
	Again bool
}

func cameElsewhere(arrivals []Arrival, a Arrival) bool {
	return slices.ContainsFunc(arrivals, func(b Arrival) bool { return b.Seq == a.Seq && b.Server != a.Server })
}

// Compare makes the report of one stream.
//
// Order is judged per server: what a server had not seen yet must come in
// ascending order. A window that is sent again in order after a switch passes;
// messages of two servers are not compared by the clock, because their
// connections to the collector race.
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
		case a.Repeated && !firstHere:
			r.Repeats++
		case published[a.Seq] < l.Resent[a.Seq]:
			published[a.Seq]++
			r.PublisherRepeats++
		default:
			r.Duplicates++
			r.Doubles = append(r.Doubles, a)
		}
		if firstHere {
			if a.Seq < newest[a.Server] {
				r.Disorder = append(r.Disorder, Disorder{a.Server, a.Seq, newest[a.Server], cameElsewhere(arrivals, a)})
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

// String is the report in one line.
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

// Latencies returns how long first arrivals took from the publisher to the
// collector, sorted.
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
