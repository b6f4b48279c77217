// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kubernetes 1.37 has these messages.
func TestPodsRefused_CauseInTheSpec_NamesTheField(t *testing.T) {
	for refusal, remedy := range map[string]string{
		`pods "x-" is forbidden: error looking up service account plant/x: serviceaccount "x" not found`: "; create it, or change spec.runner.serviceAccountName",
		`pods "x-" is forbidden: no PriorityClass with name x was found`:                                 "; create it, or change spec.runner.priorityClassName",
		`pods "x-" is forbidden: exceeded quota: q, requested: cpu=50m, used: cpu=1, limited: cpu=1`:     "; raise the quota, or lower spec.runner.resources",
		`pods "x-" is forbidden: failed quota: q: must specify limits.cpu for: bridge-runner`:            "; set it in spec.runner.resources",
		`pods "x-" is forbidden: minimum memory usage per Container is 1Gi, but request is 64Mi`:         "; change spec.runner.resources, or the LimitRange of the namespace",
		`pods "x-" is forbidden: maximum cpu usage per Container is 10m, but limit is 1`:                 "; change spec.runner.resources, or the LimitRange of the namespace",
		`pods "x-" is forbidden: violates PodSecurity "restricted:latest"`:                               "",
	} {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "plant-bridge"}, Status: appsv1.DeploymentStatus{Conditions: []appsv1.DeploymentCondition{{
			Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: refusal,
		}}}}
		if got, want := podsRefused(d), "Deployment plant-bridge cannot create the runner pod: "+refusal+remedy; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
