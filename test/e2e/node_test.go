// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/cluster"
)

// This test stops the kubelet that all tests share, and therefore does not run in parallel with
// others. The kubelet forwards ports, so the test connects to the addresses of the brokers' pods.
func TestNode_Lost_ReadyIsUnknownAndMessagesFlow(t *testing.T) {
	if !shared.Local {
		t.Skip("only the kubelet of the local cluster can be stopped")
	}
	w := newWorld(t)
	for _, b := range []*cluster.Broker{w.local, w.primary, w.backup} {
		b.ByAddress = true
	}
	w.ready()
	w.stream()
	pod := w.pod()
	// The node controller marks only pods that were ready. The runner's report is earlier than the
	// kubelet's first probe.
	w.kubectl("wait", "pod/"+pod.Name, "--for=condition=Ready", "--timeout=60s")
	t.Cleanup(func() { must(t, shared.ThawKubelet(context.Background())) })
	must(t, shared.FreezeKubelet(t.Context()))
	w.condition(v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonNodeLost)
	w.flow(400)
	if c := w.condition(v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonNodeLost); c.ObservedGeneration != 1 {
		t.Errorf("Ready is of generation %d, want 1", c.ObservedGeneration)
	}
	must(t, shared.ThawKubelet(t.Context()))
	w.kubectl("wait", "--for=condition=Ready", "mqttbridge/"+bridgeName, "--timeout=60s")
	if now := w.pod(); now.UID != pod.UID || now.Status.ContainerStatuses[0].RestartCount > 0 {
		t.Errorf("pod %s was replaced or restarted, want it to run through the loss of the node", pod.Name)
	}
	w.flow(200)
	w.finish()
}
