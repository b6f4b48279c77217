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
	switch {
	case isSuspended(b):
		return 0
	case b.Spec.HasStandby():
		return 2
	default:
		return 1
	}
}

// keepRunning makes an existing Deployment want the number of pods that spec.suspend requests,
// ends its recovery from a roll-out if the bridge has recovered, and leaves all its other
// fields as they are. It is used if the spec is refused, or if a child cannot be applied. It
// reports whether it changed the Deployment.
func (r *Reconciler) keepRunning(ctx context.Context, b *v1alpha1.MQTTBridge) (bool, error) {
	var d *appsv1.Deployment
	recovered := false
	// The cache holds no applied fields, and after a write it holds the old number for a while.
	for _, reader := range []client.Reader{r.Client, r.APIReader} {
		d = &appsv1.Deployment{} // a field that is absent in the answer would stay
		err := reader.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: childName(b.Name)}, d)
		if err != nil {
			return false, client.IgnoreNotFound(err)
		}
		if !metav1.IsControlledBy(d, b) {
			return false, nil
		}
		if recovered, err = r.hasRecovered(ctx, b, d); err != nil {
			return false, err
		}
		if !recovered && ptr.Deref(d.Spec.Replicas, 1) == r.replicasInPlace(b, d) {
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
	applied.Spec.WithReplicas(r.replicasInPlace(b, d))
	if recovered {
		delete(applied.Labels, labelHealthBefore)
	}
	if err := r.Client.Apply(ctx, applied.WithResourceVersion(d.ResourceVersion), client.FieldOwner(FieldOwner), client.ForceOwnership); err != nil {
		err = fmt.Errorf("changing Deployment %s: %w", d.Name, err)
		if refused(err) {
			return false, &stallError{v1alpha1.ReasonApplyFailed, err}
		}
		return false, err
	}
	if recovered {
		r.fleet.setState(client.ObjectKeyFromObject(b), "")
	}
	return true, nil
}

// replicasInPlace returns the number of pods that a bridge wants of the pod template that is in
// place: two only if the template is for two runners. The policy has not permitted this template,
// which is of an earlier generation. An operator with a policy therefore does not start it.
func (r *Reconciler) replicasInPlace(b *v1alpha1.MQTTBridge, d *appsv1.Deployment) int32 {
	live := ptr.Deref(d.Spec.Replicas, 1)
	if isSuspended(b) || live == 0 && !r.Policy.permitsAll() {
		return 0
	}
	annotations, _ := stagingOf(d)
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return 1 // also while the number of runners changes, see stageStrategy
	}
	return runnersOf(annotations)
}

// hasRecovered reports whether a Deployment is marked as recovering from a roll-out, and the
// bridge has recovered.
func (r *Reconciler) hasRecovered(ctx context.Context, b *v1alpha1.MQTTBridge, d *appsv1.Deployment) (bool, error) {
	_, before := stagingOf(d)
	if before == "" {
		return false, nil
	}
	return r.recovered(ctx, b, d, before)
}
