// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/systemd"
)

// reportInterval is the longest time between two reports to systemd, so that `systemctl status` shows
// the present state.
const reportInterval = 10 * time.Second

// lastReport is the longest time that the end of the process waits for its last report.
const lastReport = time.Second

// supervision reports this process to systemd, if systemd has started it.
type supervision struct {
	systemd *systemd.Supervisor
	// alive returns an error if a part of the process makes no progress. summary is one line about the
	// bridges.
	alive   func() error
	summary func() string
	log     *slog.Logger

	// shown is the latest summary that systemd has received. failed is true if the latest report has
	// failed. Only the goroutine of run uses them.
	shown  string
	failed bool
}

// supervise reports to systemd that the process has started, and then that it makes progress, until
// the returned function is called. The process has started when it tries to connect: servers that are
// down delay neither the boot of a machine nor the units that start after this one. When ctx ends, the
// process is stopping, and still makes progress while it drains.
func supervise(ctx context.Context, alive func() error, summary func() string, log *slog.Logger) (stop func()) {
	supervisor, err := systemd.FromEnvironment(os.Getenv, os.Getpid())
	if err != nil {
		log.Warn("the process cannot report all of its state to systemd", "error", err)
	}
	if supervisor == nil {
		return func() {}
	}
	s := &supervision{systemd: supervisor, alive: alive, summary: summary, log: log}
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		s.run(ctx.Done(), ended)
	}()
	return func() {
		close(ended)
		select {
		case <-done:
		case <-time.After(lastReport): // alive is stuck
		}
	}
}

// run reports until ended is closed. stopping is closed when the process begins to stop.
func (s *supervision) run(stopping, ended <-chan struct{}) {
	ticker := time.NewTicker(s.period())
	defer ticker.Stop()
	s.report(systemd.Ready)
	for {
		select {
		case <-ticker.C:
			s.report()
		case <-stopping:
			stopping = nil
			s.report(systemd.Stopping)
		case <-ended:
			if stopping != nil && isClosed(stopping) { // the process has stopped at once
				_ = s.systemd.Report(systemd.Stopping) // systemd sees the end itself
			}
			return
		}
	}
}

// period returns the time between two reports.
func (s *supervision) period() time.Duration {
	if i := s.systemd.Interval(); i > 0 {
		return min(i, reportInterval)
	}
	return reportInterval
}

// report sends states, a sign of life if the process makes progress, and the summary if it has changed.
func (s *supervision) report(states ...string) {
	if s.systemd.Interval() > 0 && s.alive() == nil {
		states = append(states, systemd.Alive)
	}
	summary := s.summary()
	if summary != s.shown {
		states = append(states, systemd.Status(summary))
	}
	if len(states) == 0 {
		return
	}
	err := s.systemd.Report(states...)
	if err == nil {
		s.shown = summary
	} else if !s.failed {
		s.log.Warn("a report to systemd has failed; the process continues, and reports again", "error", err)
	}
	s.failed = err != nil
}

// summary returns one line about the bridge.
func (i *instance) summary() string {
	ready := i.state.Ready()
	return ready.Reason + ": " + ready.Message
}

// summary returns one line about the bridges of the process.
func (h *host) summary() string {
	var forwarding, running, refused int
	files := h.snapshot()
	for i := range files {
		f := &files[i]
		if f.refusal() != "" {
			refused++
		}
		if !f.runs() {
			continue
		}
		running++
		if f.bridge.state.Ready().Status == metav1.ConditionTrue {
			forwarding++
		}
	}
	text := fmt.Sprintf("bridges that forward: %d of %d", forwarding, running)
	if refused > 0 {
		text += fmt.Sprintf("; refused files: %d, see /status", refused)
	}
	if member := h.group.status(); member != nil {
		text += fmt.Sprintf("; this runner is %s", member.State)
	}
	return text
}
