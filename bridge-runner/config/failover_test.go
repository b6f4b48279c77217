// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

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
	w, err := window(&v1alpha1.FailbackWindow{Schedule: "0 2 * * SAT", DurationMinutes: 90}, "Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
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
