// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package failover

import "time"

// Window is a recurring period of time.
type Window struct {
	// Next returns the first time after the given time at which the window opens. It
	// returns the zero time if the window never opens again.
	Next func(after time.Time) time.Time
	// Length is the time for which the window stays open.
	Length time.Duration
}

// open reports whether one of the windows is open. An empty list is always open.
func open(windows []Window, now time.Time) bool {
	for _, w := range windows {
		if opened := w.Next(now.Add(-w.Length)); !opened.IsZero() && !opened.After(now) {
			return true
		}
	}
	return len(windows) == 0
}

// untilOpen is the time until one of the windows opens, or 0 if one is open. It is at
// most one day, also if no window ever opens. The caller then asks again.
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
