// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

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

func TestValidateFailover_WindowsThatTheSchemaCannotCheck_AreRefused(t *testing.T) {
	for _, c := range []struct{ schedule, zone, field string }{
		{"0 2 * * *", "Europe/Berlin", ""},
		{"0 2 * * *", "", ""},
		{"0 25 * * *", "", "failover.failback.windows[0].schedule"},
		{"@daily", "", "failover.failback.windows[0].schedule"},
		{"TZ=UTC 0 2 * * *", "", "failover.failback.windows[0].schedule"},
		{"0 2 * * *", "Europe/Nowhere", "failover.failback.timeZone"},
		{"0 2 * * *", "Local", "failover.failback.timeZone"},
	} {
		f := &v1alpha1.Failover{Failback: &v1alpha1.Failback{
			TimeZone: c.zone, Windows: []v1alpha1.FailbackWindow{{Schedule: c.schedule, DurationMinutes: 1}},
		}}
		errs := validateFailover(f, field.NewPath("failover"))
		switch {
		case c.field == "" && len(errs) == 0:
		case len(errs) != 1 || errs[0].Field != c.field:
			t.Errorf("%+v: %v, want one error for %q", c, errs, c.field)
		}
	}
}

func TestValidate_ProbeWithClientIDOfBridge_RefusedAlsoIfDerived(t *testing.T) {
	server := func(url string) v1alpha1.Side { return v1alpha1.Side{Primary: v1alpha1.Server{URL: url}} }
	b := &v1alpha1.MQTTBridge{Spec: v1alpha1.MQTTBridgeSpec{Local: server("mqtt://a"), Remote: server("mqtt://b"), Forwards: []v1alpha1.Rule{{Filter: "#"}}}}
	b.APIVersion, b.Kind, b.Name = v1alpha1.GroupVersion.String(), "MQTTBridge", "x"
	derived := b.WithDefaults().Spec.Remote
	for _, c := range []struct{ bridge, probe string }{
		{"", derived.ClientID},
		{derived.Failover.Probe.ClientID, ""},
		{"plant", "plant"},
	} {
		b.Spec.Remote.ClientID = c.bridge
		b.Spec.Remote.Failover = &v1alpha1.Failover{Probe: &v1alpha1.Probe{ClientID: c.probe}}
		errs := Validate(b)
		if len(errs) != 1 || errs[0].Field != "spec.remote.failover.probe.clientID" {
			t.Errorf("%+v: %v", c, errs)
		}
	}
}
