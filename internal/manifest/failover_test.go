// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func TestValidateFailover_WindowsThatTheSchemaCannotCheck_AreRefused(t *testing.T) {
	for _, c := range []struct {
		schedule string
		zone     v1alpha1.TimeZone
		field    string
	}{
		{"0 2 * * *", "Europe/Berlin", ""},
		{"0 2 * * *", "", ""},
		{"0 25 * * *", "", "failover.failback.windows[0].schedule"},
		{"60 2 * * *", "", "failover.failback.windows[0].schedule"},
		{"0 2 * * 7", "", "failover.failback.windows[0].schedule"},
		{"0 2 5-1 * *", "", "failover.failback.windows[0].schedule"},
		{"0 2 * foo *", "", "failover.failback.windows[0].schedule"},
		{"0 2 31 2 *", "", "failover.failback.windows[0].schedule"},
		{"0 2 30,31 feb *", "", "failover.failback.windows[0].schedule"},
		{"0 2 31 4,6,NOV *", "", "failover.failback.windows[0].schedule"},
		{"0 2 30-31/1 2 *", "", "failover.failback.windows[0].schedule"},
		{"0 2 29 2 *", "", ""},
		{"0 2 31 4,5 *", "", ""},
		{"0 2 31 2 1", "", ""}, // with both, either the day of the month or of the week is enough
		{"*/20 1-5/2 1 JAN-mar SUN,6", "", ""},
		{"@daily", "", "failover.failback.windows[0].schedule"},
		{"TZ=UTC 0 2 * * *", "", "failover.failback.windows[0].schedule"},
		{"0 2 * * *", "Europe/Nowhere", "failover.failback.timeZone"},
		{"0 2 * * *", "Local", "failover.failback.timeZone"},
	} {
		f := &v1alpha1.Failover{Failback: &v1alpha1.Failback{
			TimeZone: c.zone, Windows: []v1alpha1.Window{{Schedule: c.schedule, DurationMinutes: 1}},
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
	b := &v1alpha1.MQTTBridge{Spec: v1alpha1.MQTTBridgeSpec{Local: server("mqtt://a"), Remote: server("mqtt://b"), LocalToRemote: []v1alpha1.Rule{{Filter: "#"}}}}
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

func TestValidate_BothSidesWithOneClientIDOnOneServer_IsRefused(t *testing.T) {
	for _, c := range []struct {
		local, remote, localID, remoteID string
		refused                          bool
	}{
		{"mqtt://broker", "mqtt://broker.plant.svc", "same", "same", true},
		{"mqtt://broker", "mqtt://broker.plant.svc", "same", "", false},
		{"mqtt://broker", "mqtt://broker.plant.svc", "", "", false},
		{"mqtt://broker", "mqtt://other.plant.svc", "same", "same", false},
	} {
		b := bridge("a", c.local, c.remote, []v1alpha1.Rule{r("a/#", "b/${1}")}, nil)
		b.APIVersion, b.Kind = v1alpha1.GroupVersion.String(), "MQTTBridge"
		b.Spec.Local.ClientID, b.Spec.Remote.ClientID = c.localID, c.remoteID
		if errs := Validate(b); (len(errs) > 0) != c.refused || c.refused && errs[0].Field != "spec.remote.clientID" {
			t.Errorf("%+v: %v", c, errs)
		}
	}
}
