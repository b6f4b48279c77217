// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func withUpdateWindows(b *v1alpha1.MQTTBridge, zone v1alpha1.TimeZone, schedule string, minutes int32) *v1alpha1.MQTTBridge {
	b.Spec.Runner = &v1alpha1.Runner{
		UpdateTimeZone: zone, UpdateWindows: []v1alpha1.Window{{Schedule: schedule, DurationMinutes: minutes}},
	}
	return b
}

func TestNextWindow_WindowsOfBridgeAndOperator_BridgeComesFirst(t *testing.T) {
	// The epoch is a Sunday, 12:00 UTC.
	at := func(day, hour int) time.Time { return time.Date(2026, 3, day, hour, 0, 0, 0, time.UTC) }
	for name, tt := range map[string]struct {
		flag, zone string
		bridge     *v1alpha1.MQTTBridge
		want       time.Time // zero: now
	}{
		"no windows":                            {"", "", newBridge("a", "b"), time.Time{}},
		"the operator's window is closed":       {"0 2 * * * 1h", "", newBridge("a", "b"), at(2, 2)},
		"the operator's window is open":         {"0 11 * * 0 2h", "", newBridge("a", "b"), time.Time{}},
		"one of the operator's windows is open": {"0 2 * * * 1h; 0 11 * * 0 2h", "", newBridge("a", "b"), time.Time{}},
		"the operator's time zone":              {"0 2 * * * 1h", "Asia/Tokyo", newBridge("a", "b"), at(1, 17)},
		"the bridge's window is closed":         {"", "", withUpdateWindows(newBridge("a", "b"), "", "0 4 * * *", 60), at(2, 4)},
		"the bridge's window replaces an open":  {"0 0 * * * 24h", "", withUpdateWindows(newBridge("a", "b"), "", "0 4 * * *", 60), at(2, 4)},
		"the bridge's window replaces a closed": {"0 2 * * * 1h", "", withUpdateWindows(newBridge("a", "b"), "", "0 0 * * *", 1440), time.Time{}},
		"the bridge's time zone is its own":     {"0 2 * * * 1h", "Asia/Tokyo", withUpdateWindows(newBridge("a", "b"), "", "0 4 * * *", 60), at(2, 4)},
		"the bridge's time zone":                {"", "", withUpdateWindows(newBridge("a", "b"), "Asia/Tokyo", "0 4 * * *", 60), at(1, 19)},
	} {
		windows, err := ParseUpdateWindows(tt.flag, v1alpha1.TimeZone(tt.zone))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r := &Reconciler{UpdateWindows: windows, Now: func() time.Time { return epoch }}
		if got, err := r.nextWindow(tt.bridge); err != nil || !got.Equal(tt.want) {
			t.Errorf("%s: %s (%v); want %s", name, got, err, tt.want)
		}
	}
}

func TestParseUpdateWindows_WrongValue_IsRefusedWithTheRemedy(t *testing.T) {
	for _, tt := range []struct{ windows, zone, want string }{
		{"", "", ""},
		{"0 2 * * 6 4h", "", ""},
		{" 0 2 * * 6  4h ; 30 22 1,15 * MON-FRI 90m;", "Europe/Berlin", ""},
		{"0 0 * * 0 168h", "", ""},
		{"0 2 * * 6", "", "a duration in whole minutes"},
		{"0 2 * * 6 240", "", "a duration in whole minutes"},
		{"4h", "", "the five fields of cron, and a duration"},
		{"0 2 * * 6 30s", "", "from 1m to 168h"},
		{"0 2 * * 6 90s", "", "whole minutes"},
		{"0 2 * * 6 0m", "", "from 1m to 168h"},
		{"0 2 * * 6 169h", "", "from 1m to 168h"},
		{"0 2 * * 6 4h, 0 2 * * 0 4h", "", "separate several windows by semicolons"},
		{"0 25 * * 6 4h", "", "--update-windows[0].schedule"},
		{"0 2 31 2 * 4h", "", "the window never opens"},
		{"@daily 4h", "", "the five fields of cron, and a duration"},
		{"TZ=UTC 0 2 * * 6 4h", "", "the five fields of cron, and a duration"},
		{"0 2 * foo * 4h", "", "schedule must consist of the five fields"},
		{strings.Repeat("0 2 * * 6 4h;", 17), "", "must have at most 16 items"},
		{"0 2 * * 6 4h", "Local", "--update-time-zone: Invalid value: \"Local\""},
		{"", "UTC", "add --update-windows or remove --update-time-zone"},
	} {
		switch _, err := ParseUpdateWindows(tt.windows, v1alpha1.TimeZone(tt.zone)); {
		case tt.want == "" && err != nil:
			t.Errorf("%q is refused: %v", tt.windows, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%q: the error is %v; want one with %q", tt.windows, err, tt.want)
		}
	}
}

func TestFleet_ScheduledBridge_TakesNoSlotAndIsNotStarted(t *testing.T) {
	f, one := &fleet{}, intstr.FromInt32(1)
	for i := range 2 {
		f.observe(nil, fleetDeployment(i, "v1", "old"))
		t.Cleanup(func() { f.setState(fleetKey(i), "") }) // the gauges belong to the process
	}
	if !f.schedule(fleetKey(0), "new", epoch.Add(10*time.Minute)) {
		t.Fatal("the bridge does not wait for its window")
	}
	if got := f.takeWaiting(2); len(got) > 0 {
		t.Errorf("a free slot starts %v; want no bridge outside its window", got)
	}
	if !f.admit(fleetKey(1), "new", "v2", false, one) {
		t.Error("a bridge outside its window takes the slot of another bridge")
	}
	if f.schedule(fleetKey(1), "new", epoch.Add(time.Minute)) {
		t.Error("a replacement that has started stops when the window closes")
	}
	// The window opens while the other bridge recovers.
	if f.admit(fleetKey(0), "new", "v2", false, one) || !f.opening(fleetKey(0)).IsZero() || f.retryAfter(fleetKey(0), epoch) != waitInterval {
		t.Error("a bridge in its window does not wait for the other bridge")
	}
}

func TestFleet_ScheduledBridge_ChecksWhenTheWindowOpensAndHourly(t *testing.T) {
	for opens, want := range map[time.Duration]time.Duration{
		10 * time.Minute: 10 * time.Minute,
		72 * time.Hour:   time.Hour,   // in case that the clock changes
		-time.Minute:     time.Second, // the window has opened since the decision
	} {
		f := &fleet{}
		f.schedule(fleetKey(0), "new", epoch.Add(opens))
		if got := f.retryAfter(fleetKey(0), epoch); got != want {
			t.Errorf("a window that opens in %s is checked after %s; want %s", opens, got, want)
		}
		f.setState(fleetKey(0), "")
	}
}

func TestConditions_BridgeOutsideItsWindow_ReportUpdateScheduled(t *testing.T) {
	opens := time.Date(2026, 3, 7, 2, 0, 0, 0, time.FixedZone("", 3600))
	for name, tt := range map[string]struct {
		change func(*observation)
		want   string // in the message; empty: no condition
	}{
		"no window":             {func(o *observation) { o.windowOpens = time.Time{} }, ""},
		"the operator's window": {func(*observation) {}, "--update-windows of the operator opens, next at 2026-03-07T02:00:00+01:00"},
		"the bridge's window": {
			func(o *observation) { withUpdateWindows(o.bridge, "", "0 2 * * 6", 60) },
			"spec.runner.updateWindows opens, next at 2026-03-07T02:00:00+01:00",
		},
		"suspended": {func(o *observation) { o.bridge.Spec.Suspend = ptr.To(true) }, ""},
	} {
		o := &observation{bridge: newBridge("a", "b"), windowOpens: opens}
		tt.change(o)
		c := meta.FindStatusCondition(derive(o, epoch), v1alpha1.ConditionUpdateScheduled)
		switch {
		case tt.want == "" && c != nil:
			t.Errorf("%s: %+v; want no condition", name, c)
		case tt.want != "" && (c == nil || c.Reason != v1alpha1.ReasonOutsideWindow || !strings.Contains(c.Message, tt.want)):
			t.Errorf("%s: %+v; want a message with %q", name, c, tt.want)
		}
	}
}
