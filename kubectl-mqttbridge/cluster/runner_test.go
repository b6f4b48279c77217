// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestAboutBridge_Events_AreOfTheBridgeAndItsChildObjects(t *testing.T) {
	for _, c := range []struct {
		kind, name string
		want       bool
	}{
		{"MQTTBridge", "b", true},
		{"MQTTBridge", "b-bridge", false},
		{"Deployment", "b-bridge", true},
		{"ReplicaSet", "b-bridge-5f6d8c9b7d", true},
		{"Pod", "b-bridge-5f6d8c9b7d-x2x4z", true},
		{"PersistentVolumeClaim", "b-bridge", true},
		{"Lease", "b-bridge", true},
		// Objects of other bridges and of other programs.
		{"Deployment", "b-bridge-bridge", false},
		{"Pod", "b-bridge-bridge-5f6d8c9b7d-x2x4z", false},
		{"Pod", "b-bridge-monitor-5f6d8c9b7d-x2x4z", false},
		{"Pod", "b-bridge-0", false},
		{"Pod", "b-bridge", false},
		{"PersistentVolumeClaim", "b-bridge-data", false},
		{"Ingress", "b-bridge", false},
	} {
		e := &corev1.Event{InvolvedObject: corev1.ObjectReference{Kind: c.kind, Name: c.name}}
		if got := AboutBridge(e, "b"); got != c.want {
			t.Errorf("%s %s: %t, want %t", c.kind, c.name, got, c.want)
		}
	}
}
