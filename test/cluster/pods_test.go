// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestExplainPods_PodsThatAreNotReady_AreNamedWithTheCause(t *testing.T) {
	containers := func(status corev1.ContainerStatus) corev1.PodStatus {
		status.Image = "registry.example/operator:dev"
		return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{status}}
	}
	waiting := func(reason, message string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
	for name, tt := range map[string]struct {
		status corev1.PodStatus
		want   []string // none if the pod is not named
	}{
		"image that cannot be pulled": {
			containers(corev1.ContainerStatus{State: waiting("ImagePullBackOff", "not found")}),
			[]string{"pod one", "registry.example/operator:dev", "ImagePullBackOff: not found"},
		},
		"program that ends": {
			containers(corev1.ContainerStatus{State: waiting("CrashLoopBackOff", "back-off 10s"), RestartCount: 2}),
			[]string{"CrashLoopBackOff", "another processor", "fake logs"},
		},
		"no node": {
			corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "Insufficient memory"}}},
			[]string{"pod one has no node", "Insufficient memory"},
		},
		"ready": {status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "one", Labels: map[string]string{"app": "x"}}, Status: tt.status}
		c := &Cluster{Client: fake.NewClientset(pod)}
		err := c.explainPods(t.Context(), "demo", "app=x")
		if (err != nil) != (tt.want != nil) {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range tt.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in %v", name, want, err)
			}
		}
	}
}
