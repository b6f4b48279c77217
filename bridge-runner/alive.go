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

// liveness says whether everything that carries messages makes progress.
type liveness struct {
	dog    watchdog.Watchdog
	log    *slog.Logger
	logged atomic.Bool // the stacks
}

func newLiveness(log *slog.Logger) *liveness { return &liveness{log: log} }

// side watches a side: its connector, and the sessions that it has.
func (l *liveness) side(name string, of *connector.Connector, c *current) {
	of.Alive = l.dog.Task(name + " connector")
	of.Alive.Begin(0) // to run
	l.dog.Watch(name+" reader", func() time.Duration {
		var overdue time.Duration
		c.each(func(s *session.Session) { overdue = max(overdue, s.Overdue()) })
		return overdue
	})
	l.dog.Lock(name+" session", func() { c.each((*session.Session).TryLocks) })
}

// pipe watches the pipe of a direction.
func (l *liveness) pipe(name string, p *delivery.Pipe) {
	l.dog.Watch(name+" disk", p.KeepOverdue)
	l.dog.Lock(name+" pipe", p.TryLock)
}

// check returns an error that names what makes no progress. The first time it logs what
// all goroutines do, because the process is about to be ended.
func (l *liveness) check() error {
	err := l.dog.Check()
	if err != nil && l.logged.CompareAndSwap(false, true) {
		var stacks bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)                                           // to memory
		go l.log.Error("the bridge makes no progress", "error", err, "goroutines", stacks.String()) // the log may be what is stuck
	}
	return err
}

// each calls fn with the sessions.
func (c *current) each(fn func(*session.Session)) {
	for _, p := range []*atomic.Pointer[session.Session]{&c.up, &c.new} {
		if s := p.Load(); s != nil {
			fn(s)
		}
	}
}
