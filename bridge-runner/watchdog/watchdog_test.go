// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package watchdog

import (
	"testing"
	"testing/synctest"
	"time"
)

// mutex is a lock that lets the time of a synctest advance while a goroutine waits for it.
type mutex chan struct{}

func newMutex() mutex { return make(mutex, 1) }

func (m mutex) Lock()   { m <- struct{}{} }
func (m mutex) Unlock() { <-m }

func (m mutex) try() {
	m <- struct{}{}
	<-m
}

// after calls Check every 10 seconds, as a kubelet does, and compares the result after d.
func after(t *testing.T, w *Watchdog, d time.Duration, want string) {
	t.Helper()
	const period = 10 * time.Second
	for ; d > 0; d -= period {
		time.Sleep(min(d, period))
		if d > period {
			_ = w.Check() // only the last result counts
		}
	}
	got := ""
	if err := w.Check(); err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("Check returns %q, want %q", got, want)
	}
}

func TestTask_StepDoesNotEnd_IsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Watchdog
		a, b := w.Task("a"), w.Task("b")
		a.Begin(0)
		b.Begin(time.Minute)
		after(t, &w, Limit-time.Second, "")
		after(t, &w, 2*time.Second, "no progress for 30s: a")
		after(t, &w, time.Minute, "no progress for 30s: a, b")
		a.Begin(0)
		b.Wait()
		after(t, &w, time.Second, "")
	})
}

func TestTask_Waits_IsNeverReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Watchdog
		fresh, waits := w.Task("fresh"), w.Task("waits")
		waits.Begin(0)
		waits.Wait()
		after(t, &w, 24*time.Hour, "")
		if fresh.Overdue() > 0 {
			t.Error("a task that has not begun is overdue")
		}
		var none *Task
		none.Begin(0)
		none.Wait()
		if none.Overdue() > 0 {
			t.Error("a task that is not watched is overdue")
		}
	})
}

func TestLock_NotReleased_IsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Watchdog
		held, free := newMutex(), newMutex()
		w.Lock("held", held.try)
		w.Lock("free", free.try)
		after(t, &w, 0, "")
		held.Lock()
		after(t, &w, Limit-time.Second, "")
		after(t, &w, 11*time.Second, "no progress for 30s: held")
		held.Unlock()
		after(t, &w, time.Second, "")
	})
}

func TestLock_TakenAllTheTime_IsNotReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Watchdog
		mu := newMutex()
		w.Lock("busy", mu.try)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 600 {
				mu.Lock()
				time.Sleep(time.Second)
				mu.Unlock()
			}
		}()
		for range 50 {
			after(t, &w, 10*time.Second, "")
		}
		<-done
	})
}
