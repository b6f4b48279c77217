// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package window

import (
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func TestWindow_ScheduleWithTimeZone_OpensAtLocalTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	w := parse(t, "Europe/Berlin", v1alpha1.Window{Schedule: "0 2 * * SAT", DurationMinutes: 90})[0]
	if w.Length != 90*time.Minute {
		t.Errorf("the window is %v long, want 90 minutes", w.Length)
	}
	for _, c := range []struct{ after, opens time.Time }{
		{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 3, 2, 0, 0, 0, berlin)},
		{time.Date(2026, 7, 4, 0, 0, 1, 0, time.UTC), time.Date(2026, 7, 11, 2, 0, 0, 0, berlin)}, // in summer time the window opens at midnight UTC, which has passed
	} {
		if got := w.Next(c.after); !got.Equal(c.opens) {
			t.Errorf("after %v the window opens at %v, want %v", c.after, got, c.opens)
		}
	}
}

func parse(t *testing.T, zone v1alpha1.TimeZone, list ...v1alpha1.Window) []Window {
	t.Helper()
	windows, err := Parse(list, zone)
	if err != nil {
		t.Fatal(err)
	}
	return windows
}

func TestWindows_Time_AreOpenFromTheScheduleForTheirLength(t *testing.T) {
	saturday := v1alpha1.Window{Schedule: "0 2 * * SAT", DurationMinutes: 90}
	tuesday := v1alpha1.Window{Schedule: "30 22 * * TUE", DurationMinutes: 240}
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 1, day, hour, minute, 0, 0, time.UTC) }
	for name, tt := range map[string]struct {
		list  []v1alpha1.Window
		now   time.Time
		open  bool
		opens time.Time // the next opening
	}{
		"no window":                  {nil, at(1, 0, 0), true, time.Time{}},
		"before the window":          {[]v1alpha1.Window{saturday}, at(3, 1, 59), false, at(3, 2, 0)},
		"the window opens":           {[]v1alpha1.Window{saturday}, at(3, 2, 0), true, at(10, 2, 0)},
		"the window is about to end": {[]v1alpha1.Window{saturday}, at(3, 3, 30).Add(-time.Second), true, at(10, 2, 0)},
		"the window has ended":       {[]v1alpha1.Window{saturday}, at(3, 3, 30), false, at(10, 2, 0)},
		"after midnight":             {[]v1alpha1.Window{tuesday}, at(7, 2, 29), true, at(13, 22, 30)},
		"the earlier of two":         {[]v1alpha1.Window{saturday, tuesday}, at(4, 0, 0), false, at(6, 22, 30)},
		"one of two is open":         {[]v1alpha1.Window{saturday, tuesday}, at(3, 3, 0), true, at(6, 22, 30)},
	} {
		windows := parse(t, "", tt.list...)
		if got := Open(windows, tt.now); got != tt.open {
			t.Errorf("%s: open is %t; want %t", name, got, tt.open)
		}
		if got := NextOpening(windows, tt.now); !got.Equal(tt.opens) {
			t.Errorf("%s: the next opening is %s; want %s", name, got, tt.opens)
		}
	}
}

func TestUntilOpen_DistantOrMissingOpening_IsAtMostADay(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		opens time.Time
		want  time.Duration
	}{
		"in an hour": {now.Add(time.Hour), time.Hour},
		"in a week":  {now.Add(7 * 24 * time.Hour), 24 * time.Hour},
		"never":      {time.Time{}, 24 * time.Hour},
	} {
		windows := []Window{{Length: time.Minute, Next: func(time.Time) time.Time { return tt.opens }}}
		if got := UntilOpen(windows, now); got != tt.want {
			t.Errorf("%s: %s; want %s", name, got, tt.want)
		}
	}
}

func TestLocation_ZoneOfTheMachine_IsRefused(t *testing.T) {
	for zone, valid := range map[v1alpha1.TimeZone]bool{"": true, "UTC": true, "Asia/Tokyo": true, "Local": false, "Europe/Nowhere": false} {
		if _, err := Location(zone); (err == nil) != valid {
			t.Errorf("%q: %v; want valid: %t", zone, err, valid)
		}
	}
}
