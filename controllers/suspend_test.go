// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// suspend sets spec.suspend.
func suspend(t *testing.T, b *v1alpha1.MQTTBridge, value bool) *v1alpha1.MQTTBridge {
	t.Helper()
	return update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Suspend = ptr.To(value) })
}

func awaitReplicas(t *testing.T, b *v1alpha1.MQTTBridge, n int32) {
	t.Helper()
	awaitDeployment(t, b, "the wanted replicas", func(d *appsv1.Deployment) bool { return *d.Spec.Replicas == n })
}

// isSuspendedOnly reports whether the status of a bridge says that it is suspended and that
// nothing is left to do.
func isSuspendedOnly(b *v1alpha1.MQTTBridge) bool {
	absent := func(conditionType string) bool {
		return meta.FindStatusCondition(b.Status.Conditions, conditionType) == nil
	}
	return conditionIs(b, v1alpha1.ConditionSuspended, metav1.ConditionTrue, v1alpha1.ReasonSuspended) &&
		conditionIs(b, v1alpha1.ConditionRemoteConnected, metav1.ConditionFalse, v1alpha1.ReasonSuspended) &&
		absent(v1alpha1.ConditionReady) && absent(v1alpha1.ConditionReconciling) && len(b.Status.Runners) == 0
}

func TestBridge_Suspended_IsScaledToZeroAndReported(t *testing.T) {
	b, pod := forwardingBridge(t)
	b = suspend(t, b, true)
	awaitReplicas(t, b, 0)
	completeRollout(t, b)
	awaitBridge(t, b, "draining", func(got *v1alpha1.MQTTBridge) bool {
		if meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionSuspended) != nil {
			t.Error("the bridge is suspended while its pod exists")
		}
		return conditionIs(got, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonDraining) &&
			conditionIs(got, v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing)
	})
	if err := server.Client.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	awaitBridge(t, b, "suspended, and nothing left to do", func(got *v1alpha1.MQTTBridge) bool {
		checkImageHasPod(t, got)
		return isSuspendedOnly(got)
	})
	b = suspend(t, b, false)
	awaitReplicas(t, b, 1)
	awaitBridge(t, b, "not suspended", func(got *v1alpha1.MQTTBridge) bool {
		return meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionSuspended) == nil &&
			conditionIs(got, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRunnerNotRunning)
	})
}

func TestBridge_SuspendedWithEvictedPod_HasNoReport(t *testing.T) {
	b, pod := forwardingBridge(t)
	b = suspend(t, b, true)
	awaitReplicas(t, b, 0)
	completeRollout(t, b)
	pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "Evicted" // It stays until it is deleted.
	updatePodStatus(t, pod)
	awaitBridge(t, b, "suspended, and nothing left to do", isSuspendedOnly)
	awaitIdle(t, b)
}

// A tool that restores bridges with their status owns a copy of the report and the conditions.
func TestBridge_StatusOfAnotherOwner_IsReplaced(t *testing.T) {
	b, pod := forwardingBridge(t)
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(bridgeKind))
	u.SetNamespace(b.Namespace)
	u.SetName(b.Name)
	status, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&b.Status)
	if err != nil {
		t.Fatal(err)
	}
	u.Object["status"] = status
	if err := server.Client.Status().Apply(t.Context(), client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("backup"), client.ForceOwnership); err != nil {
		t.Fatal(err)
	}
	b = suspend(t, b, true)
	awaitReplicas(t, b, 0)
	completeRollout(t, b)
	if err := server.Client.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	awaitBridge(t, b, "suspended, and nothing left to do", isSuspendedOnly)
	awaitIdle(t, b)
}

func TestBridge_SuspendedWithInvalidSpec_IsScaledToZero(t *testing.T) {
	b, _ := forwardingBridge(t)
	before := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	b = update(t, b, func(b *v1alpha1.MQTTBridge) {
		makeInvalid(b)
		b.Spec.Suspend = ptr.To(true)
	})
	awaitReplicas(t, b, 0)
	awaitCondition(t, b, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonInvalidSpec)
	awaitIdle(t, b)
	b = suspend(t, b, false)
	awaitReplicas(t, b, 1) // The bridge runs again with its last valid spec.
	after := awaitDeployment(t, b, "the Deployment", func(*appsv1.Deployment) bool { return true })
	if !equality.Semantic.DeepEqual(before.Spec.Template, after.Spec.Template) {
		t.Errorf("the pod template is %+v, want %+v", after.Spec.Template, before.Spec.Template)
	}
}

// makeInvalid gives a bridge rules that form a loop, which the schema does not detect.
func makeInvalid(b *v1alpha1.MQTTBridge) {
	b.Spec.Local.BridgeMode = ptr.To(v1alpha1.BridgeModeOff)
	b.Spec.LocalToRemote = []v1alpha1.Rule{{Filter: "a/#"}}
	b.Spec.RemoteToLocal = []v1alpha1.Rule{{Filter: "a/b/#"}}
}
