// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

func TestStage_DeploymentNewerThanCache_IsWaitedFor(t *testing.T) {
	b, _ := forwardingBridge(t)
	live := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	older, gone := live.DeepCopy(), live.DeepCopy()
	older.Generation--
	gone.Name = "gone"
	for name, d := range map[string]*appsv1.Deployment{"changed": older, "deleted": gone} {
		if _, err := operator.completeDeployment(t.Context(), d); err == nil || !waits(err) {
			t.Errorf("%s: %v; want an error that ends without an action", name, err)
		}
	}
}
