// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// replicas returns the number of pods that a bridge wants.
func replicas(b *v1alpha1.MQTTBridge) int32 {
	if isSuspended(b) {
		return 0
	}
	return 1
}

// setReplicas makes an existing Deployment want the number of pods that spec.suspend requests, and
// leaves all its other fields as they are. It is used if the spec is invalid, or if a child
// cannot be applied. It reports whether it changed the Deployment.
func (r *Reconciler) setReplicas(ctx context.Context, b *v1alpha1.MQTTBridge) (bool, error) {
	d := &appsv1.Deployment{}
	// The cache holds no applied fields, and after a write it holds the old number for a while.
	for _, reader := range []client.Reader{r.Client, r.APIReader} {
		err := reader.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: childName(b.Name)}, d)
		if err != nil {
			return false, client.IgnoreNotFound(err)
		}
		if !metav1.IsControlledBy(d, b) || ptr.Deref(d.Spec.Replicas, 1) == replicas(b) {
			return false, nil
		}
	}
	// The fields that the operator has applied before, so that it keeps them.
	applied, err := appsv1ac.ExtractDeployment(d, FieldOwner)
	if err != nil {
		return false, fmt.Errorf("reading the applied fields of Deployment %s: %w", d.Name, err)
	}
	if applied.Spec == nil {
		return false, nil // not applied by the operator: applyChildren applies all of it
	}
	applied.Spec.WithReplicas(replicas(b))
	if err := r.Client.Apply(ctx, applied.WithResourceVersion(d.ResourceVersion), client.FieldOwner(FieldOwner), client.ForceOwnership); err != nil {
		err = fmt.Errorf("scaling Deployment %s: %w", d.Name, err)
		if refused(err) {
			return false, &stallError{v1alpha1.ReasonApplyFailed, err}
		}
		return false, err
	}
	return true, nil
}
