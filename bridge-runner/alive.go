// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"log/slog"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/watchdog"
)

// liveness checks that every part of the runner that carries messages makes progress.
type liveness struct {
	watchdog watchdog.Watchdog
	log      *slog.Logger
}

// stacksLogged is true after the stacks of all goroutines have been logged. They are logged once
// per process.
var stacksLogged atomic.Bool

func newLiveness(log *slog.Logger) *liveness { return &liveness{log: log} }

// watchSide watches the connector of a side, and the side's sessions.
func (l *liveness) watchSide(name string, c *connector.Connector, sessions *sideSessions) {
	c.Alive = l.watchdog.Task(name + " connector")
	c.Alive.Begin(0) // until Run begins
	l.watchdog.Watch(name+" reader", func() time.Duration {
		var overdue time.Duration
		sessions.forEach(func(s *session.Session) { overdue = max(overdue, s.Overdue()) })
		return overdue
	})
	l.watchdog.Lock(name+" session", func() { sessions.forEach((*session.Session).CheckLocks) })
}

// watchPipe watches the pipe of a direction.
func (l *liveness) watchPipe(name string, p *delivery.Pipe) {
	l.watchdog.Watch(name+" disk", p.SpoolOverdue)
	l.watchdog.Lock(name+" pipe", p.CheckLock)
}

// check returns an error that names the parts that make no progress. The first error also
// logs the stacks of all goroutines, because the process is about to be killed.
func (l *liveness) check() error {
	err := l.watchdog.Check()
	if err != nil && stacksLogged.CompareAndSwap(false, true) {
		var stacks bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1) // writing to memory does not fail
		// In a goroutine, because writing the log may be the step that is stuck.
		go l.log.Error("the bridge makes no progress; /livez fails and systemd gets no sign of life, so that Kubernetes or systemd restarts the process", "error", err, "goroutines", stacks.String())
	}
	return err
}

// forEach calls fn with each session of the side.
func (c *sideSessions) forEach(fn func(*session.Session)) {
	for _, p := range []*atomic.Pointer[session.Session]{&c.up, &c.opening} {
		if s := p.Load(); s != nil {
			fn(s)
		}
	}
}
