// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"regexp"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestClientIDs_Default_DifferBetweenClustersBridgesAndSides(t *testing.T) {
	portable := regexp.MustCompile(`^[0-9a-zA-Z]{10,23}$`)
	seen := map[string]string{}
	for _, cluster := range []string{"", "one", "two"} {
		for _, name := range []string{"plant", "plant-to-the-cloud-of-the-north", "plant-to-the-cloud-of-the-south"} {
			for _, namespace := range []string{"a", "b"} {
				b := &MQTTBridge{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
				b.SetDefaultClientIDs(cluster)
				again := b.WithDefaults()
				for field, id := range map[string]string{
					"local": b.Spec.Local.ClientID, "local probe": b.Spec.Local.Failover.Probe.ClientID,
					"remote": b.Spec.Remote.ClientID, "remote probe": b.Spec.Remote.Failover.Probe.ClientID,
				} {
					user := cluster + " " + namespace + "/" + name + " " + field
					if seen[id] != "" {
						t.Errorf("%s and %s have the identifier %s", user, seen[id], id)
					}
					seen[id] = user
					if !portable.MatchString(id) {
						t.Errorf("%s: %q is not accepted by every server", user, id)
					}
				}
				if again.Spec.Local.ClientID != b.Spec.Local.ClientID || again.Spec.Remote.Failover.Probe.ClientID != b.Spec.Remote.Failover.Probe.ClientID {
					t.Errorf("%s: WithDefaults changes the identifiers", name)
				}
			}
		}
	}
}

func TestClientIDs_SetInSpec_AreKept(t *testing.T) {
	b := &MQTTBridge{Spec: MQTTBridgeSpec{
		Local:  Side{ClientID: "mine"},
		Remote: Side{Failover: &Failover{Probe: &Probe{ClientID: "probe"}}},
	}}
	b.SetDefaultClientIDs("one")
	if b.Spec.Local.ClientID != "mine" || b.Spec.Remote.Failover.Probe.ClientID != "probe" {
		t.Errorf("the identifiers are %q and %q", b.Spec.Local.ClientID, b.Spec.Remote.Failover.Probe.ClientID)
	}
}
