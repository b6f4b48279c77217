// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package window answers whether one of several recurring windows is open, and when the next
// one opens. The runner uses it for failback, and the operator for roll-outs.
//
// It is pure: the caller passes the current time. Package manifest validates windows.
package window

import (
	"errors"
	"fmt"
	"time"
	_ "time/tzdata" // the images have no time zones

	"github.com/robfig/cron/v3"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Window is a recurring period of time.
type Window struct {
	// Next returns the first time after the given time at which the window opens. It
	// returns the zero time if the window never opens again.
	Next func(after time.Time) time.Time
	// Length is the time for which the window stays open.
	Length time.Duration
}

// Parse returns the windows of a manifest. An empty zone is UTC.
func Parse(list []v1alpha1.Window, zone v1alpha1.TimeZone) ([]Window, error) {
	location, err := Location(zone)
	if err != nil {
		return nil, err
	}
	var out []Window
	for _, w := range list {
		schedule, err := cron.ParseStandard(w.Schedule)
		if err != nil {
			return nil, fmt.Errorf("schedule %q: %w", w.Schedule, err)
		}
		out = append(out, Window{
			Next:   func(after time.Time) time.Time { return schedule.Next(after.In(location)) },
			Length: time.Duration(w.DurationMinutes) * time.Minute,
		})
	}
	return out, nil
}

// Location returns a time zone by its name. An empty name is UTC. The zone of the machine has
// no name, because a manifest must mean the same everywhere.
func Location(zone v1alpha1.TimeZone) (*time.Location, error) {
	if zone == "Local" {
		return nil, errors.New("the time zone Local depends on the machine; use a name such as Europe/Berlin")
	}
	location, err := time.LoadLocation(string(zone))
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w", zone, err)
	}
	return location, nil
}

// Open reports whether one of the windows is open. An empty list is always open.
func Open(windows []Window, now time.Time) bool {
	for _, w := range windows {
		if opened := w.Next(now.Add(-w.Length)); !opened.IsZero() && !opened.After(now) {
			return true
		}
	}
	return len(windows) == 0
}

// NextOpening returns the first time after now at which one of the windows opens. It returns
// the zero time if none ever opens again.
func NextOpening(windows []Window, now time.Time) (first time.Time) {
	for _, w := range windows {
		if opens := w.Next(now); !opens.IsZero() && (first.IsZero() || opens.Before(first)) {
			first = opens
		}
	}
	return first
}

// UntilOpen is the time until one of the windows opens, or 0 if one is open. It is at
// most one day, also if no window ever opens. The caller then asks again.
func UntilOpen(windows []Window, now time.Time) time.Duration {
	if Open(windows, now) {
		return 0
	}
	const longest = 24 * time.Hour
	opens := NextOpening(windows, now)
	if opens.IsZero() {
		return longest
	}
	return min(longest, opens.Sub(now))
}
