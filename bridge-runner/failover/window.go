// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package failover

import "time"

// Window is a time that comes again and again.
type Window struct {
	// Next returns when the window opens next after a time: the schedule.
	Next func(after time.Time) time.Time
	// Length is how long it stays open.
	Length time.Duration
}

// open reports whether one of the windows is open. Without any it is always.
func open(windows []Window, now time.Time) bool {
	for _, w := range windows {
		if opened := w.Next(now.Add(-w.Length)); !opened.IsZero() && !opened.After(now) {
			return true
		}
	}
	return len(windows) == 0
}

// untilOpen is how long it takes until one of the windows opens, 0 where one is open.
// Where none ever opens it is a day: then it is asked again.
func untilOpen(windows []Window, now time.Time) time.Duration {
	if open(windows, now) {
		return 0
	}
	wait := 24 * time.Hour
	for _, w := range windows {
		if opens := w.Next(now); !opens.IsZero() {
			wait = min(wait, opens.Sub(now))
		}
	}
	return wait
}
