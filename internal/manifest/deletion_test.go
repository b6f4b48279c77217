// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"slices"
	"testing"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func TestRemainingSessions_OfSides_NamesServersWithSessionsOrNotifications(t *testing.T) {
	base := v1alpha1.MQTTBridge{Spec: v1alpha1.MQTTBridgeSpec{
		Local:         v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://l"}, ClientID: "cl"},
		Remote:        v1alpha1.Side{Primary: v1alpha1.Server{URL: "mqtt://a"}, Backups: []v1alpha1.Server{{URL: "mqtt://b"}}, ClientID: "cr"},
		LocalToRemote: []v1alpha1.Rule{{Filter: "up"}},
	}}
	for name, tc := range map[string]struct {
		change func(*v1alpha1.MQTTBridgeSpec)
		want   []string
	}{
		"source":            {func(*v1alpha1.MQTTBridgeSpec) {}, []string{"local l cl "}},
		"clean session":     {func(s *v1alpha1.MQTTBridgeSpec) { s.Local.CleanSession = ptr.To(true) }, nil},
		"both directions":   {func(s *v1alpha1.MQTTBridgeSpec) { s.RemoteToLocal = s.LocalToRemote }, []string{"local l cl ", "remote a cr ", "remote b cr "}},
		"with notification": {func(s *v1alpha1.MQTTBridgeSpec) { s.Notifications = &v1alpha1.Notifications{Topic: "n"} }, []string{"local l cl n", "remote a  n", "remote b  n"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := base.DeepCopy()
			tc.change(&b.Spec)
			var got []string
			for _, r := range RemainingSessions(&b.WithDefaults().Spec) {
				got = append(got, r.Side+" "+r.Server+" "+r.ClientID+" "+r.Notification)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
