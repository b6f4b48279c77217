// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// A child that is not wanted and is being deleted for a long time must not look like a change
// of each pass: the bridge would be Reconciling forever, and never Suspended.
func TestChildren_UnwantedChildStaysTerminating_BridgeIsNotReconciling(t *testing.T) {
	b, _ := forwardingBridge(t)
	old := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: b.Namespace, Name: "plant-of-an-older-version", Labels: childLabels(b.Name), Finalizers: []string{"example.com/keep"},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(b, v1alpha1.GroupVersion.WithKind(bridgeKind))},
	}}
	create(t, old)
	apiserver.Await(t, server.Client, &corev1.ConfigMapList{}, client.ObjectKeyFromObject(old), "the old child is being deleted",
		func(c *corev1.ConfigMap) bool { return c != nil && c.DeletionTimestamp != nil })
	awaitIdle(t, b)
	awaitBridge(t, b, "nothing left to reconcile", func(got *v1alpha1.MQTTBridge) bool {
		return conditionTrue(got, v1alpha1.ConditionReady) && meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReconciling) == nil
	})
}
