// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

const page = "../../docs/failure-modes.md"

// cells returns the rows of the table below a heading of the page, without the header.
func cells(t *testing.T, heading string) [][]string {
	t.Helper()
	data, err := os.ReadFile(page)
	must(t, err)
	_, below, found := strings.Cut(string(data), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", page, heading)
	}
	var rows [][]string
	for line := range strings.Lines(below) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "|"):
			var row []string
			for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
				row = append(row, strings.TrimSpace(cell))
			}
			rows = append(rows, row)
		case len(rows) > 0:
			return rows[2:]
		}
	}
	t.Fatalf("%s has no table below %q", page, heading)
	return nil
}

// documented returns the required row of a fault, without the column that says how the fault is
// detected.
func (f *fault) documented() []string {
	row := []string{f.name}
	var reasons []string
	for _, e := range []*expected{f.toward, f.from} {
		cell := "-"
		if e != nil {
			cell = e.formula
			if seconds := e.seconds(defaults); seconds > 0 {
				cell += fmt.Sprintf(": %d s", seconds)
			}
			for _, r := range e.reasons {
				if r = "`" + r + "`"; !slices.Contains(reasons, r) {
					reasons = append(reasons, r)
				}
			}
		}
		row = append(row, cell)
	}
	return append(row, strings.Join(reasons, ", "))
}

// Headings of the page.
const (
	inUse = "### The server in use"
	tried = "### A server that is tried"
)

func TestFailureModesPage_Tables_MatchSuite(t *testing.T) {
	for heading, faults := range map[string][]fault{inUse: established, tried: connecting} {
		var want []string
		for i := range faults {
			row := faults[i].documented()
			if heading == tried {
				row = slices.Delete(row, 2, 3) // messages are not involved
			}
			want = append(want, strings.Join(row, " | "))
		}
		var got []string
		for _, row := range cells(t, heading) {
			got = append(got, strings.Join(slices.Delete(row, 1, 2), " | "))
		}
		for _, row := range want {
			if !slices.Contains(got, row) {
				t.Errorf("%s lacks the row (without the second column), or the row differs:\n%s", heading, row)
			}
		}
		for _, row := range got {
			if !slices.Contains(want, row) {
				t.Errorf("%s has a row without a test:\n%s", heading, row)
			}
		}
	}
}
