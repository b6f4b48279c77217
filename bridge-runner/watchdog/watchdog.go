// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package watchdog finds work that makes no progress: a goroutine that does not come
// back from a step, or a lock that is not released.
//
// It promises that waiting is never reported: not for a server, a message or a timer,
// for however long. A goroutine says when it begins a step and when it waits. Locks need
// no help: the watchdog takes them itself. It uses no goroutine and no timer while nobody
// asks.
package watchdog

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Limit is how long a step may take, and a lock be held.
const Limit = 30 * time.Second

// patience is how long Check waits for locks that are held for a moment.
const patience = 100 * time.Millisecond

// Task is the work of one goroutine. The zero value waits, and so does nil, for ever.
type Task struct {
	until atomic.Int64 // when the step at hand has to be over, in nanoseconds since start; 0: it waits
}

var start = time.Now()

// Begin says that a step begins, or goes on to the next one. It has Limit, and allowance
// besides for what it waits for.
func (t *Task) Begin(allowance time.Duration) {
	if t != nil {
		t.until.Store(int64(time.Since(start) + allowance + Limit))
	}
}

// Wait says that the goroutine waits for something that need not come.
func (t *Task) Wait() {
	if t != nil {
		t.until.Store(0)
	}
}

// Overdue is for how long the step at hand should have been over.
func (t *Task) Overdue() time.Duration {
	if t == nil {
		return 0
	}
	until := t.until.Load()
	if until == 0 {
		return 0
	}
	return max(time.Since(start)-time.Duration(until), 0)
}

// Watchdog watches tasks and locks. Its methods may be called from any goroutine.
type Watchdog struct {
	mu    sync.Mutex
	tasks []namedTask
	locks []*lock
}

type namedTask struct {
	name    string
	overdue func() time.Duration
}

// lock is a lock that is taken now and then.
type lock struct {
	name    string
	try     func()
	attempt *attempt // the latest one
}

type attempt struct {
	began time.Time
	ended chan struct{}
}

// Watch watches work. overdue returns for how long it should have been over, 0 if it is
// not.
func (w *Watchdog) Watch(name string, overdue func() time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tasks = append(w.tasks, namedTask{name, overdue})
}

// Task watches a new task.
func (w *Watchdog) Task(name string) *Task {
	t := &Task{}
	w.Watch(name, t.Overdue)
	return t
}

// Lock watches a lock. try takes it and releases it.
func (w *Watchdog) Lock(name string, try func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.locks = append(w.locks, &lock{name: name, try: try})
}

// Check returns an error that names what makes no progress. It does not block. A lock
// that is held is found when it is asked for the second time.
func (w *Watchdog) Check() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var stuck []string
	for _, t := range w.tasks {
		if overdue := t.overdue(); overdue > 0 {
			stuck = append(stuck, t.name)
		}
	}
	wait := time.NewTimer(patience)
	defer wait.Stop()
	for _, l := range w.locks {
		l.begin()
	}
	for _, l := range w.locks {
		if l.held(wait) {
			stuck = append(stuck, l.name)
		}
	}
	if len(stuck) > 0 {
		return fmt.Errorf("no progress for %v: %s", Limit, strings.Join(stuck, ", "))
	}
	return nil
}

// begin tries to take the lock, unless an attempt is under way.
func (l *lock) begin() {
	if l.attempt != nil && !l.attempt.over() {
		return
	}
	a := &attempt{began: time.Now(), ended: make(chan struct{})}
	l.attempt = a
	go func() {
		l.try()
		close(a.ended)
	}()
}

func (a *attempt) over() bool {
	select {
	case <-a.ended:
		return true
	default:
		return false
	}
}

// held reports whether the lock could not be taken for Limit.
func (l *lock) held(wait *time.Timer) bool {
	select {
	case <-l.attempt.ended:
		return false
	case <-wait.C:
		wait.Reset(0) // no time is left for the others
	}
	return !l.attempt.over() && time.Since(l.attempt.began) >= Limit
}
