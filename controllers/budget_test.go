// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"
)

// spend tries to send one event per second, at the times that clock returns for each second,
// and returns the number of events that were sent. Each pass reads the recorded time, as an
// operator that restarts all the time does.
func spend(seconds int, clock func(second int) time.Time) (sent int) {
	var recorded time.Time
	for second := range seconds {
		b := newBudget(recorded, clock(second))
		if b.take(1) {
			sent++
		}
		if b.changed {
			recorded = b.fullAt
		}
	}
	return sent
}

func TestBudget_EventEachSecond_IsBounded(t *testing.T) {
	at := func(second int) time.Time { return epoch.Add(time.Duration(second) * time.Second) }
	for _, tt := range []struct {
		name     string
		seconds  int
		clock    func(second int) time.Time
		min, max int
	}{
		{"the first events are sent at once", eventBurst, at, eventBurst, eventBurst},
		{"then one per interval", 3600, at, eventBurst + 119, eventBurst + 120},
		{"a clock that jumps ahead permits one more burst", 3600, func(second int) time.Time {
			if second >= 1800 {
				return at(second).Add(24 * time.Hour)
			}
			return at(second)
		}, 2*eventBurst + 110, 2*eventBurst + 120},
		{"a clock that jumps back by a day does not hold events for a day", 3600, func(second int) time.Time {
			if second >= 1800 {
				return at(second).Add(-24 * time.Hour)
			}
			return at(second)
		}, eventBurst + 100, eventBurst + 120},
		{"a clock that jumps back again and again permits no more events", 3600, func(second int) time.Time {
			return at(second - second/60*30)
		}, eventBurst + 50, eventBurst + 120},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if sent := spend(tt.seconds, tt.clock); sent < tt.min || sent > tt.max {
				t.Errorf("%d events in %d s; want %d to %d", sent, tt.seconds, tt.min, tt.max)
			}
		})
	}
}

func TestBudget_SeveralEventsAtOnce_AreSentTogetherAndPaidLater(t *testing.T) {
	b := newBudget(time.Time{}, epoch)
	for range eventBurst - 1 {
		b.take(1)
	}
	if !b.take(15) {
		t.Fatal("one event is within the budget, so that all 15 must be sent")
	}
	if b.take(1) {
		t.Fatal("the budget is in debt, and permits another event")
	}
	if want := 15 * eventInterval; b.wait != want {
		t.Errorf("the next event may be sent in %s; want %s", b.wait, want)
	}
	later := newBudget(b.fullAt, epoch.Add(15*eventInterval))
	if later.changed || !later.take(1) {
		t.Error("after the wait, the budget does not permit an event, or treats the debt as a jump of the clock")
	}
}

func TestBudget_NoEvents_ChangesNothing(t *testing.T) {
	b := newBudget(epoch.Add(10*time.Minute), epoch)
	if !b.take(0) || b.changed || b.wait != 0 {
		t.Errorf("%+v", b)
	}
}
