// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// render returns the results as Markdown tables.
func render(results []result) string {
	var b strings.Builder
	b.WriteString("| phase | bridges | time | requests | per bridge | status writes | events | passes | CPU | CPU per pass | memory at the end | without the program | memory, peak | |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for i := range results {
		r := &results[i]
		perBridge, perPass := "", ""
		if r.bridges > 0 {
			perBridge = fmt.Sprintf("%.2f", float64(r.requests.total())/float64(r.bridges))
		}
		if r.passes > 0 {
			perPass = fmt.Sprintf("%.2f ms", r.usage.cpu.Seconds()*1000/float64(r.passes))
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %d | %s | %d | %d | %d | %s | %s | %s | %s | %s | %s |\n",
			r.phase, r.bridges, r.duration.Round(10*time.Millisecond), r.requests.total(), perBridge,
			r.requests.statusWrites(), r.requests.events(), r.passes, r.usage.cpu.Round(10*time.Millisecond), perPass,
			mebibytes(r.usage.resident), mebibytes(r.usage.heap), mebibytes(r.usage.peak), r.note)
	}
	b.WriteString("\n| phase | requests by verb and resource |\n|---|---|\n")
	for i := range results {
		r := &results[i]
		keys := make([]string, 0, len(r.requests))
		for key := range r.requests {
			keys = append(keys, key)
		}
		slices.SortFunc(keys, func(x, y string) int { return r.requests[y] - r.requests[x] })
		cells := make([]string, 0, len(keys))
		for _, key := range keys {
			cells = append(cells, fmt.Sprintf("%s %d", key, r.requests[key]))
		}
		fmt.Fprintf(&b, "| %s | %s |\n", r.phase, strings.Join(cells, ", "))
	}
	return b.String()
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
