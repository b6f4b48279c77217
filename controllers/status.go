// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// ownStatus is the operator's part of a bridge's status. The runner owns the rest.
type ownStatus struct {
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Runners            []ownRunner        `json:"runners,omitempty"`
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
	if s.ObservedGeneration != status.ObservedGeneration || !equality.Semantic.DeepEqual(s.runnersOf(status), status.Runners) {
		return false
	}
	return !slices.ContainsFunc(ownConditions, func(conditionType string) bool {
		return !equality.Semantic.DeepEqual(
			meta.FindStatusCondition(s.Conditions, conditionType),
			meta.FindStatusCondition(status.Conditions, conditionType))
	})
}

// runnersOf returns the runners of a status as they must be: with the images of their pods, and without
// an entry that no runner reports.
func (s *ownStatus) runnersOf(status *v1alpha1.MQTTBridgeStatus) (runners []v1alpha1.RunnerStatus) {
	for i := range status.Runners {
		r := status.Runners[i]
		if r.Role == "" {
			continue
		}
		r.Image = ""
		for _, own := range s.Runners {
			if own.Pod == r.Pod {
				r.Image = own.Image
			}
		}
		runners = append(runners, r)
	}
	return runners
}

// writeStatus applies the operator's part of the status. The API server refuses the write
// with a conflict if the bridge has changed since it was read. The derived conditions and
// events are then outdated and dropped, and the change reaches the cache and starts another
// pass.
func (r *Reconciler) writeStatus(ctx context.Context, b *v1alpha1.MQTTBridge, s *ownStatus) error {
	for i := range s.Conditions { // the API server keeps only the seconds
		s.Conditions[i].LastTransitionTime = s.Conditions[i].LastTransitionTime.Rfc3339Copy()
	}
	status, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s)
	if err != nil {
		return fmt.Errorf("converting the status: %w", err)
	}
	u := statusApply(b)
	u.Object["status"] = status
	err = r.Client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u),
		client.FieldOwner(FieldOwner), client.ForceOwnership)
	written := b.Status
	switch {
	case apierrors.IsInvalid(err): // the type of a condition that is to be removed belongs to another client, too
	case err != nil:
		return fmt.Errorf("writing the status: %w", err)
	default:
		b.ResourceVersion = u.GetResourceVersion()
		if written, err = operatorsPart(u); err != nil {
			return err
		}
		if s.equals(&written) {
			return nil
		}
	}
	conditions := slices.DeleteFunc(slices.Clone(written.Conditions), func(c metav1.Condition) bool { return slices.Contains(ownConditions, c.Type) })
	parts := map[string]any{"conditions": append(conditions, s.Conditions...), "observedGeneration": s.ObservedGeneration}
	if len(written.Runners) > 0 {
		parts["runners"] = s.runnersOf(&written)
	}
	return r.replaceStatus(ctx, b, parts)
}

// operatorsPart returns the conditions, the observed generation and the runners of a bridge. The
// rest of the status, which is larger, is not converted.
func operatorsPart(u *unstructured.Unstructured) (out v1alpha1.MQTTBridgeStatus, err error) {
	status, _ := u.Object["status"].(map[string]any)
	part := map[string]any{}
	for _, key := range []string{"conditions", "observedGeneration", "runners"} {
		if value, ok := status[key]; ok {
			part[key] = value
		}
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(part, &out); err != nil {
		return out, fmt.Errorf("reading the status: %w", err)
	}
	return out, nil
}

// replaceStatus replaces parts of the status that an apply leaves as they are, because another
// client owns them, too: it has restored the bridge from a backup, for example, or edited the
// status.
func (r *Reconciler) replaceStatus(ctx context.Context, b *v1alpha1.MQTTBridge, parts map[string]any) error {
	log.FromContext(ctx).Info("replacing a part of the status that another client has written")
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": b.ResourceVersion},
		"status":   parts,
	})
	if err != nil {
		return fmt.Errorf("encoding the status: %w", err)
	}
	patched := &v1alpha1.MQTTBridge{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: b.Name}}
	if err := r.Client.Status().Patch(ctx, patched, client.RawPatch(types.MergePatchType, body), client.FieldOwner(FieldOwner)); err != nil {
		return fmt.Errorf("replacing the status: %w", err)
	}
	b.ResourceVersion = patched.ResourceVersion
	return nil
}

// clearReport removes the report of a runner whose pod is gone, or has ended, by applying an
// empty status as the runner's field manager. It first looks for the pod on the API server,
// because the cache may not contain a new pod yet. If a new report was written since the
// bridge was read, the write is refused and the new report stays.
func (r *Reconciler) clearReport(ctx context.Context, b *v1alpha1.MQTTBridge) error {
	if alive, err := r.reporterAlive(ctx, b); alive || err != nil {
		return err
	}
	log.FromContext(ctx).Info("clearing the report of a runner whose pod is gone", "pod", reporterOf(b))
	u := statusApply(b)
	err := r.Client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(v1alpha1.RunnerFieldManager))
	if err != nil {
		return fmt.Errorf("clearing the runner's report: %w", err)
	}
	if _, left, _ := unstructured.NestedFieldNoCopy(u.Object, "status", "runners"); !left {
		return nil
	}
	b.ResourceVersion = u.GetResourceVersion()
	return r.replaceStatus(ctx, b, map[string]any{
		"runners": nil, "lastTakeover": nil, "local": nil, "remote": nil, "buffer": nil, "unforwardable": nil, "deletion": nil,
	})
}

// reporterAlive reports whether the API server has the pod of the report, and its containers
// may still run. Another client may have written a report that names no pod.
func (r *Reconciler) reporterAlive(ctx context.Context, b *v1alpha1.MQTTBridge) (bool, error) {
	name := reporterOf(b)
	if name == "" {
		return false, nil
	}
	pod := &corev1.Pod{}
	err := r.APIReader.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: name}, pod)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("looking for runner pod %s: %w", name, err)
	}
	return err == nil && podAlive(*pod), nil
}

// reporterOf returns the name of the pod that reported the state of the sides, or an empty string.
func reporterOf(b *v1alpha1.MQTTBridge) string {
	return ptr.Deref(b.Status.ActiveRunner(), v1alpha1.RunnerStatus{}).Pod
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
