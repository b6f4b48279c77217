// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package watchdog finds work that makes no progress: a goroutine that does not finish
// a step, or a lock that is not released.
//
// It promises that it never reports waiting for a server, a message or a timer, however
// long that takes. A goroutine reports when it begins a step and when it waits. For
// locks, nothing needs to be reported: the watchdog acquires them itself. It uses no
// goroutine and no timer between calls of [Watchdog.Check], except for a lock that it
// cannot acquire.
package watchdog

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Limit is the longest time that a step may take, or that a lock may be held.
const Limit = 30 * time.Second

// patience is the time for which Check waits for locks that are held only briefly.
const patience = 100 * time.Millisecond

// Task is the work of one goroutine. The zero value waits. A nil Task always waits.
type Task struct {
	deadline atomic.Int64 // of the current step, in nanoseconds since start; 0: the task waits
}

var start = time.Now()

// Begin starts a step, and ends the previous one. The step may take Limit, plus
// allowance for the waiting that is a part of it.
func (t *Task) Begin(allowance time.Duration) {
	if t != nil {
		t.deadline.Store(int64(time.Since(start) + allowance + Limit))
	}
}

// Wait ends the step. The goroutine waits for an event that may never come.
func (t *Task) Wait() {
	if t != nil {
		t.deadline.Store(0)
	}
}

// Overdue returns the time since the deadline of the current step, or 0 if the deadline
// has not passed.
func (t *Task) Overdue() time.Duration {
	if t == nil {
		return 0
	}
	deadline := t.deadline.Load()
	if deadline == 0 {
		return 0
	}
	return max(time.Since(start)-time.Duration(deadline), 0)
}

// Watchdog watches tasks and locks. Its methods may be called from any goroutine.
type Watchdog struct {
	// mu is held while Check runs. Lock order: mu comes before any lock that an overdue
	// function takes. The functions passed to Lock run without mu.
	mu    sync.Mutex
	tasks []namedTask
	locks []*lock
}

type namedTask struct {
	name    string
	overdue func() time.Duration
}

// lock is a watched lock.
type lock struct {
	name    string
	try     func()
	attempt *attempt // the latest attempt to acquire it
}

type attempt struct {
	began time.Time
	done  chan struct{} // closed when the lock was acquired and released
}

// Watch watches a piece of work. overdue returns the time since its deadline, or 0 if it
// is not overdue.
func (w *Watchdog) Watch(name string, overdue func() time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tasks = append(w.tasks, namedTask{name, overdue})
}

// Task returns a new task that the watchdog watches.
func (w *Watchdog) Task(name string) *Task {
	t := &Task{}
	w.Watch(name, t.Overdue)
	return t
}

// Lock watches a lock. try acquires the lock and releases it.
func (w *Watchdog) Lock(name string, try func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.locks = append(w.locks, &lock{name: name, try: try})
}

// Check returns an error that names all tasks and locks without progress. It takes
// little more than patience. It finds a held lock at the second call, Limit after the
// first at the earliest.
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
		l.start()
	}
	for _, l := range w.locks {
		if l.stuck(wait) {
			stuck = append(stuck, l.name)
		}
	}
	if len(stuck) > 0 {
		return fmt.Errorf("no progress for %v: %s", Limit, strings.Join(stuck, ", "))
	}
	return nil
}

// start starts an attempt to acquire the lock, unless one is under way.
func (l *lock) start() {
	if l.attempt != nil && !l.attempt.finished() {
		return
	}
	a := &attempt{began: time.Now(), done: make(chan struct{})}
	l.attempt = a
	go func() {
		l.try()
		close(a.done)
	}()
}

func (a *attempt) finished() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// stuck reports whether the watchdog has tried to acquire the lock for Limit without
// success. It waits until the timer has fired.
func (l *lock) stuck(wait *time.Timer) bool {
	select {
	case <-l.attempt.done:
		return false
	case <-wait.C:
		wait.Reset(0) // no time is left to wait for the remaining locks
	}
	return !l.attempt.finished() && time.Since(l.attempt.began) >= Limit
}
