// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"
)

const (
	rowFormat = "  %-8s %-15s  %-16s %8s  %-13s %9s"

	// rateSpan is the time over which the rate of arrivals is measured.
	rateSpan = time.Second

	// gapSpan is the time in which the table shows the longest gap.
	gapSpan = 5 * time.Second
)

// rows returns the table of the view, and the same in short. They are empty before the first message.
func (w *world) rows() (table []string, summary string) {
	publisher := w.publisher.Load()
	if publisher == nil {
		return nil, ""
	}
	now := w.state.read(context.Background())
	sent, acknowledged := publisher.Counts()
	arrived, _ := w.arrivals.counts("")
	rate := len(w.arrivals.since(time.Now().Add(-rateSpan)))
	gap := w.arrivals.recentGap(time.Now().Add(-gapSpan)).Milliseconds()

	table = append(table, "", fmt.Sprintf(rowFormat, "PROGRAM", "ADDRESS", "ROLE", "PID", "STATE", "MESSAGES"))
	for _, s := range append(w.brokers(), w.runner) {
		_, messages := w.arrivals.counts(s.name)
		text, p, condition := strconv.Itoa(messages), s.current(), now.of(s.name)
		pid := strconv.Itoa(p.cmd.Process.Pid)
		switch {
		case !p.running():
			condition, pid = "killed", ""
		case s == w.runner:
			condition = "running"
		}
		switch s {
		case w.plant:
			text = strconv.Itoa(sent)
		case w.runner:
			text = ""
		}
		line := fmt.Sprintf(rowFormat, s.name, s.address, s.role, pid, condition, text)
		if condition == inUse {
			line = bold + line + plain
		}
		table = append(table, line)
	}
	summary = fmt.Sprintf("%d messages/s arrive, %d wait, longest gap of the last %.0f s: %d ms", rate, max(acknowledged-arrived, 0), gapSpan.Seconds(), gap)
	table = append(table, "    "+summary, "")
	return table, w.serverInUse(now) + ", " + summary
}

// serverInUse says which server the runner uses.
func (w *world) serverInUse(now state) string {
	if !w.runner.current().running() {
		return "the runner does not run"
	}
	return cmp.Or(now.inUse(), "no remote server") + " is in use"
}
