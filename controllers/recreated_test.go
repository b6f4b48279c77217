// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// kubectl replace --force deletes a bridge and creates it again at once. The pod of the deleted bridge
// still runs then, and reports to the bridge of its name.
func TestReady_BridgeCreatedAgain_IgnoresThePodOfTheDeletedBridge(t *testing.T) {
	b, pod := forwardingBridge(t)
	if err := server.Client.Delete(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	again := newBridge(b.Namespace, b.Name)
	again.Spec.Remote.Primary.URL = "mqtt://elsewhere:1883"
	create(t, again)
	awaitBridge(t, again, "the operator waits for the garbage collector", func(got *v1alpha1.MQTTBridge) bool {
		return got != nil && got.UID == again.UID && meta.IsStatusConditionTrue(got.Status.Conditions, v1alpha1.ConditionReconciling)
	})
	applyReport(t, again, pod.Name, localUp(), remoteOnPrimary()) // the generation is 1, as of the deleted bridge
	got := awaitBridge(t, again, "Ready is False", func(got *v1alpha1.MQTTBridge) bool {
		return len(got.Status.Runners) > 0 && meta.IsStatusConditionFalse(got.Status.Conditions, v1alpha1.ConditionReady)
	})
	for _, conditionType := range []string{v1alpha1.ConditionLocalConnected, v1alpha1.ConditionRemoteConnected} {
		if !meta.IsStatusConditionFalse(got.Status.Conditions, conditionType) {
			t.Errorf("%s is not False", conditionType)
		}
	}
	if d := awaitDeployment(t, again, "the Deployment of the deleted bridge", func(*appsv1.Deployment) bool { return true }); metav1.IsControlledBy(d, again) {
		t.Error("the operator has taken over the Deployment of the deleted bridge")
	}
}
