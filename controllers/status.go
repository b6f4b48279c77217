// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// ownStatus is the operator's part of a bridge's status. The runner owns the rest.
type ownStatus struct {
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
}

// ownConditions are the types of the conditions that the operator sets.
var ownConditions = []string{
	v1alpha1.ConditionReady,
	v1alpha1.ConditionLocalConnected,
	v1alpha1.ConditionRemoteConnected,
	v1alpha1.ConditionDegraded,
	v1alpha1.ConditionReconciling,
	v1alpha1.ConditionStalled,
	v1alpha1.ConditionSuspended,
	v1alpha1.ConditionUpdateScheduled,
}

// equals reports whether the status already contains the operator's part.
func (s *ownStatus) equals(status *v1alpha1.MQTTBridgeStatus) bool {
	if s.ObservedGeneration != status.ObservedGeneration {
		return false
	}
	return !slices.ContainsFunc(ownConditions, func(conditionType string) bool {
		return !equality.Semantic.DeepEqual(
			meta.FindStatusCondition(s.Conditions, conditionType),
			meta.FindStatusCondition(status.Conditions, conditionType))
	})
}

// writeStatus applies the operator's part of the status. The API server refuses the write
// with a conflict if the bridge has changed since it was read. The derived conditions and
// events are then outdated and dropped, and the change reaches the cache and starts another
// pass.
func (r *Reconciler) writeStatus(ctx context.Context, b *v1alpha1.MQTTBridge, s *ownStatus) error {
	status, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s)
	if err != nil {
		return fmt.Errorf("converting the status: %w", err)
	}
	u := statusApply(b)
	u.Object["status"] = status
	err = r.Client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u),
		client.FieldOwner(FieldOwner), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	b.ResourceVersion = u.GetResourceVersion()
	return nil
}

// clearReport removes the report of a runner whose pod is gone, or has ended, by applying an
// empty status as the runner's field manager. It first looks for the pod on the API server,
// because the cache may not contain a new pod yet. If a new report was written since the
// bridge was read, the write is refused and the new report stays.
func (r *Reconciler) clearReport(ctx context.Context, b *v1alpha1.MQTTBridge) error {
	pod := &corev1.Pod{}
	err := r.APIReader.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: b.Status.Runner.Pod}, pod)
	if err == nil && podAlive(*pod) {
		return nil
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("looking for runner pod %s: %w", b.Status.Runner.Pod, err)
	}
	log.FromContext(ctx).Info("clearing the report of a runner whose pod is gone", "pod", b.Status.Runner.Pod)
	err = r.Client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(statusApply(b)),
		client.FieldOwner(v1alpha1.RunnerFieldManager))
	if err != nil {
		return fmt.Errorf("clearing the runner's report: %w", err)
	}
	return nil
}

// statusApply returns an empty apply configuration for the bridge at the resource version
// that was read.
func statusApply(b *v1alpha1.MQTTBridge) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(bridgeKind))
	u.SetNamespace(b.Namespace)
	u.SetName(b.Name)
	u.SetResourceVersion(b.ResourceVersion)
	return u
}
