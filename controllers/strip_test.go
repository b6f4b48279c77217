// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// Otherwise a user could set the fingerprint of a child, so that the operator does not restore
// it.
func TestFingerprintPrefix_AsGenerateName_IsRefusedByTheAPIServer(t *testing.T) {
	ns := namespace(t)
	for _, kind := range childKinds {
		typed, err := apiserver.Scheme().New(kind.gvk)
		if err != nil {
			t.Fatal(err)
		}
		obj, _ := typed.(client.Object)
		obj.SetNamespace(ns)
		obj.SetName("plant-bridge")
		obj.SetGenerateName(fingerprintPrefix + "0123456789abcdef")
		err = server.Client.Create(t.Context(), obj, client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), "metadata.generateName") {
			t.Errorf("%s: %v; want a refused generateName", kind.gvk.Kind, err)
		}
	}
}

// A user must not create a pod that counts as the pod of a bridge in another namespace.
func TestStripPod_CalledTwice_KeepsTheKeyOfTheBridge(t *testing.T) {
	pod := runnerPod(newBridge("default", "plant"), "plant-bridge-1")
	pod.GenerateName = "plant-bridge-"
	pod.SetSelfLink("other/plant")
	for range 2 {
		if _, err := stripPod(pod); err != nil {
			t.Fatal(err)
		}
		if got := bridgeKeyOf(pod); got != "default/plant" || pod.Labels != nil || imageOf(pod) != testRunnerImage {
			t.Errorf("the pod is of bridge %q, has the image %q and the labels %v; want default/plant, %s and none", got, imageOf(pod), pod.Labels, testRunnerImage)
		}
	}
}

func TestStripPod_Status_KeepsTheFieldsThatAreRead(t *testing.T) {
	end := &corev1.ContainerStateTerminated{ExitCode: 1}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	for name, tt := range map[string]struct {
		status                 corev1.PodStatus
		conditions, containers int
	}{
		"forwards": {corev1.PodStatus{
			Conditions:        []corev1.PodCondition{{Type: corev1.PodReady}, {Type: corev1.PodScheduled, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{{State: running}},
		}, 1, 0},
		"has no node": {corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse}}}, 1, 0},
		"waits": {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}},
		}}, 0, 1},
		"has ended":     {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: end}}}}, 0, 1},
		"has restarted": {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: running, LastTerminationState: corev1.ContainerState{Terminated: end}}}}, 0, 1},
	} {
		got := stripPodStatus(&tt.status)
		if len(got.Conditions) != tt.conditions || len(got.ContainerStatuses) != tt.containers {
			t.Errorf("a pod that %s keeps %+v; want %d conditions and %d containers", name, got, tt.conditions, tt.containers)
		}
	}
}

// A user who sets the label of a roll-out must not hold up the roll-outs of all bridges.
func TestFleet_LabelSetByUser_BridgeDoesNotRecover(t *testing.T) {
	b, _ := forwardingBridge(t)
	merge(t, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: childName(b.Name)}},
		`{"metadata":{"labels":{"`+labelHealthBefore+`":"Ready"}}}`)
	awaitIdle(t, b)
	operator.fleet.mu.Lock()
	defer operator.fleet.mu.Unlock()
	if m, ok := operator.fleet.members[client.ObjectKeyFromObject(b)]; !ok || m.recovering {
		t.Errorf("the member is %+v, found: %t; want a bridge that does not recover", m, ok)
	}
}

// The decoder makes room for four runners, each of more than 200 bytes.
func TestStripBridge_RoomForMoreRunners_IsRemoved(t *testing.T) {
	b := newBridge("default", "plant")
	b.Status.Runners = append(make([]v1alpha1.RunnerStatus, 0, 4), v1alpha1.RunnerStatus{Pod: "plant-bridge-1", Role: v1alpha1.RunnerActive})
	if _, err := stripBridge(b); err != nil {
		t.Fatal(err)
	}
	if r := b.Status.Runners; len(r) != 1 || cap(r) != 1 || r[0].Pod != "plant-bridge-1" || r[0].Role != v1alpha1.RunnerActive {
		t.Errorf("the cache holds %d runners in a list for %d: %+v", len(r), cap(r), r)
	}
}
