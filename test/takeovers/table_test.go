// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package takeovers

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// counts holds a number of messages for each direction.
type counts [2]int

func (c counts) String() string { return fmt.Sprintf("%d / %d", c[up], c[down]) }

// result is the result of one repetition of an event.
type result struct {
	*event
	gap, control   time.Duration
	lost, repeated counts
}

// table collects the results, in the order of the first repetition of each event.
type table struct{ results []result }

var results table

// print writes a row for each event. Times are in milliseconds.
func (t *table) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	write := func(cells ...any) {
		for _, c := range cells {
			_, _ = fmt.Fprintf(w, "%v\t", c) // tabwriter keeps the error
		}
		_, _ = fmt.Fprintln(w)
	}
	write("EVENT", "REPETITIONS", "LIMIT MS", "MEDIAN GAP MS", "WORST GAP MS", "CONTROL MS", "LOST OUT / IN", "TWICE OUT / IN")
	for _, name := range t.names() {
		var gaps, control []time.Duration
		var lost, repeated counts
		limit := "-"
		for _, r := range t.results {
			if r.name != name {
				continue
			}
			gaps, control = append(gaps, r.gap), append(control, r.control)
			for d := range lost {
				lost[d] += r.lost[d]
				repeated[d] += r.repeated[d]
			}
			if r.limit > 0 {
				limit = fmt.Sprint(r.limit.Milliseconds())
			}
		}
		slices.Sort(gaps)
		write(name, len(gaps), limit, milliseconds(gaps[len(gaps)/2]), milliseconds(slices.Max(gaps)), milliseconds(slices.Max(control)), lost, repeated)
	}
	_ = w.Flush() // to standard output
}

// names returns the names of the events in the order of the suite.
func (t *table) names() []string {
	var out []string
	for _, r := range t.results {
		if !slices.Contains(out, r.name) {
			out = append(out, r.name)
		}
	}
	return out
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f", d.Seconds()*1000)
}

// load returns the load averages of the machine, or a dash if the system does not report them.
func load() string {
	data, _ := os.ReadFile("/proc/loadavg")
	words := strings.Fields(string(data))
	return cmp.Or(strings.Join(words[:min(3, len(words))], " "), "-")
}
