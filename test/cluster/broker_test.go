// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// Without requests, a quota of the namespace refuses the pod, and a full node evicts it first.
func TestBrokerPod_Containers_RequestResources(t *testing.T) {
	pod := brokerPod("plant", "image")
	for i := range pod.Containers {
		c := &pod.Containers[i]
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			if c.Resources.Requests.Name(name, "").IsZero() {
				t.Errorf("the container %s requests no %s", c.Name, name)
			}
		}
	}
}
