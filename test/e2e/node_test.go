// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/cluster"
)

// These tests stop the kubelet that all tests share, and therefore do not run in parallel with
// others.

// withLostNode returns the world of a bridge that forwards on a lost node, and its pod. The
// returned function brings the node back. The kubelet forwards ports, so the test connects to the
// addresses of the brokers' pods.
func withLostNode(t *testing.T) (w *world, pod *corev1.Pod, bringBack func()) {
	t.Helper()
	if !shared.Local {
		t.Skip("only the kubelet of the local cluster can be stopped")
	}
	w = newWorld(t)
	for _, b := range []*cluster.Broker{w.local, w.primary, w.backup} {
		b.ByAddress = true
	}
	w.ready()
	w.stream()
	pod = w.pod()
	// The node controller marks only pods that were ready. The runner's report is earlier than the
	// kubelet's first probe.
	w.kubectl("wait", "pod/"+pod.Name, "--for=condition=Ready", "--timeout=60s")
	t.Cleanup(func() { must(t, shared.Thaw(context.Background(), cluster.Kubelet)) })
	must(t, shared.Freeze(t.Context(), cluster.Kubelet))
	if c := w.condition(v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonNodeLost); c.ObservedGeneration != 1 {
		t.Errorf("Ready is of generation %d, want 1", c.ObservedGeneration)
	}
	return w, pod, func() { t.Helper(); must(t, shared.Thaw(t.Context(), cluster.Kubelet)) }
}

func TestNode_LostBriefly_MessagesFlowAndThePodStays(t *testing.T) {
	w, pod, bringBack := withLostNode(t)
	w.flow(400)
	w.condition(v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonNodeLost)
	bringBack()
	w.kubectl("wait", "--for=condition=Ready", "mqttbridge/"+bridgeName, "--timeout=60s")
	if now := w.pod(); now.UID != pod.UID || now.Status.ContainerStatuses[0].RestartCount > 0 {
		t.Errorf("pod %s was replaced or restarted, want it to run through the loss of the node", pod.Name)
	}
	w.flow(200)
	w.finish()
}

// The cluster has no other node: the new pod starts when the node returns, while the old pod drains.
func TestNode_LostForLonger_ThePodIsReplacedAndLosesNothing(t *testing.T) {
	w, pod, bringBack := withLostNode(t)
	w.eventually(eventTimeout, func() error {
		if pods := strings.Fields(w.kubectl("get", "pods", "-l", "app.kubernetes.io/instance="+bridgeName, "-o", "name")); len(pods) != 2 {
			return fmt.Errorf("the runner pods are %v, want the lost pod and a new pod", pods)
		}
		return nil
	})
	w.flow(400)
	w.condition(v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonNodeLost)
	bringBack()
	w.kubectl("wait", "pod/"+pod.Name, "--for=delete", "--timeout=60s")
	w.kubectl("wait", "--for=condition=Ready", "mqttbridge/"+bridgeName, "--timeout=60s")
	if now := w.pod(); now.UID == pod.UID {
		t.Errorf("pod %s still exists, want a new pod", pod.Name)
	}
	w.flow(200)
	w.finish()
}
