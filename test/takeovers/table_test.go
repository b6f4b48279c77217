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
	"testing"
	"text/tabwriter"
	"time"
)

// counts holds a number of messages for each direction.
type counts [2]int

func (c counts) String() string { return fmt.Sprintf("%d / %d", c[up], c[down]) }

// result is the result of one repetition of an event.
type result struct {
	*event
	// gap is the longest time without a message, and control the longest one of a stream without a runner. own is
	// the longest time without a message in which messages of that stream arrived. It may be part of another gap.
	gap, own, control time.Duration
	// began is the time from the start of the event to the gap. It is negative if the gap began before.
	began          time.Duration
	lost, repeated counts
}

// table collects the results, in the order of the first repetition of each event.
type table struct {
	results []result
	checked int // number of results at the latest call of checkAll
}

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
	write("EVENT", "REPETITIONS", "LIMIT MS (MEDIAN / WORST)", "MEDIAN GAP MS", "WORST GAP MS", "MEDIAN OWN MS", "WORST OWN MS", "CONTROL MS", "LOST OUT / IN", "TWICE OUT / IN")
	for _, name := range t.names() {
		var control []time.Duration
		var lost, repeated counts
		all := t.of(name)
		for _, r := range all {
			control = append(control, r.control)
			for d := range lost {
				lost[d] += r.lost[d]
				repeated[d] += r.repeated[d]
			}
		}
		gaps := sorted(all, func(r result) time.Duration { return r.gap })
		own := t.own(name)
		write(name, len(gaps), all[0].limits(), milliseconds(middle(gaps)), milliseconds(slices.Max(gaps)), milliseconds(middle(own)), milliseconds(slices.Max(own)), milliseconds(slices.Max(control)), lost, repeated)
	}
	_ = w.Flush() // to standard output
}

// limits returns the limits of the median, if there is one, and of the worst gap, in milliseconds.
func (e *event) limits() string {
	switch {
	case e.limit == 0:
		return "-"
	case e.baseline != nil:
		return fmt.Sprintf("%d / %d more", e.median.Milliseconds(), e.limit.Milliseconds())
	case e.median == 0:
		return fmt.Sprint(e.limit.Milliseconds())
	}
	return fmt.Sprintf("%d / %d", e.median.Milliseconds(), e.limit.Milliseconds())
}

// checkAll checks the medians of the own gaps of the results since its latest call, and compares them with their
// baselines.
func (t *table) checkAll(tb testing.TB) {
	tb.Helper()
	latest := table{results: t.results[t.checked:]}
	t.checked = len(t.results)
	for _, name := range latest.names() {
		e, own := latest.of(name)[0].event, latest.own(name)
		baseline := []time.Duration{0}
		if e.baseline != nil {
			baseline = latest.own(e.baseline.name)
		}
		if limit := middle(baseline) + tolerated(e.median); e.median > 0 && middle(own) > limit {
			tb.Errorf("%s: the median of the own gaps is %s, want at most %s (%s without the event)", name, middle(own), limit, middle(baseline))
		}
		// A world has checked the worst gap of an event without a baseline.
		if limit := slices.Max(baseline) + tolerated(e.limit); e.baseline != nil && slices.Max(own) > limit {
			tb.Errorf("%s: the worst own gap is %s, want at most %s (%s without the event)", name, slices.Max(own), limit, slices.Max(baseline))
		}
	}
}

// own returns the own gaps of an event, sorted.
func (t *table) own(name string) []time.Duration {
	return sorted(t.of(name), func(r result) time.Duration { return r.own })
}

// of returns the results of an event.
func (t *table) of(name string) (out []result) {
	for _, r := range t.results {
		if r.name == name {
			out = append(out, r)
		}
	}
	return out
}

func sorted(all []result, value func(result) time.Duration) []time.Duration {
	out := make([]time.Duration, len(all))
	for i, r := range all {
		out[i] = value(r)
	}
	slices.Sort(out)
	return out
}

func middle(sorted []time.Duration) time.Duration { return sorted[len(sorted)/2] }

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
