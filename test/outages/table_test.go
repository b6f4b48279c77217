// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// result is a line of the table.
type result struct {
	place       int // index of the fault in the suite
	fault       string
	version     string
	side        side
	direction   string
	qos         string
	reason      string
	bound       time.Duration
	noticed     took // the time until the loss was detected
	gap         took // the longest time without a message
	lost, twice int
}

// took is a duration, and the same duration without the standstills of the machine.
type took struct{ all, own time.Duration }

func (t took) String() string { return fmt.Sprintf("%s (own %s)", t.all, t.own) }

// table collects results of tests that run in parallel.
type table struct {
	mu      sync.Mutex
	results []result
	skipped map[string]bool
}

var results = table{skipped: map[string]bool{}}

func (t *table) add(r result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.results = append(t.results, r)
}

// skip records a fault that the tests skip.
func (t *table) skip(fault string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.skipped[fault] = true
}

// print writes the table in the order of the suite. Times are in milliseconds.
func (t *table) print(out io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.results) == 0 {
		return
	}
	slices.SortStableFunc(t.results, func(a, b result) int { return a.place - b.place })
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	write := func(cells ...any) {
		for _, c := range cells {
			_, _ = fmt.Fprintf(w, "%v\t", c) // tabwriter keeps the error
		}
		_, _ = fmt.Fprintln(w)
	}
	write("FAULT", "MQTT", "SIDE", "MESSAGES", "QOS", "REASON", "BOUND MS", "DETECTED MS", "OWN MS", "GAP MS", "OWN GAP MS", "LOST", "TWICE")
	for _, r := range t.results {
		write(r.fault, r.version, r.side, r.direction, r.qos, r.reason, r.bound.Milliseconds(), r.noticed.all.Milliseconds(), r.noticed.own.Milliseconds(),
			r.gap.all.Milliseconds(), r.gap.own.Milliseconds(), r.lost, r.twice)
	}
	_ = w.Flush() // to standard output
	for fault := range t.skipped {
		_, _ = fmt.Fprintf(out, "skipped, because it needs a network namespace (run as root on Linux): %s\n", fault)
	}
}
