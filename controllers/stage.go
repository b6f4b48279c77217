// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// stage decides whether this pass may change the pod template, and completes the annotations
// and labels of the wanted Deployment. It applies a change of the spec at once. If only the operator has
// changed the template, the change is part of a roll-out over the fleet: until it is the
// bridge's turn, stage replaces the wanted template by the live one, and reports that the
// template is kept.
func (r *Reconciler) stage(ctx context.Context, b *v1alpha1.MQTTBridge, wanted *appsv1ac.DeploymentApplyConfiguration, existing liveChild) (kept bool, err error) {
	bridge := client.ObjectKeyFromObject(b)
	revision, err := r.revision.of(r.RunnerImage)
	if err != nil {
		return false, err
	}
	wanted.Annotations[annotationRevision] = revision
	live, ok := existing.object.(*appsv1.Deployment)
	if !ok { // there is no Deployment yet
		r.fleet.setState(bridge, "")
		return false, nil
	}
	before := health(live.Labels[labelHealthBefore])
	if before != "" {
		recovered, err := r.recovered(ctx, b, live, before)
		if err != nil {
			return false, err
		}
		if recovered {
			before = ""
		}
	}
	change := causeOf(live.Annotations, wanted.Annotations)
	if change == causeNone && live.Annotations[annotationRevision] != "" {
		// The annotation names the operator that changed the template last.
		wanted.Annotations[annotationRevision] = live.Annotations[annotationRevision]
	}
	if change == causeOperator && !isSuspended(b) {
		return r.stageUpdate(ctx, b, wanted, existing, live, before)
	}
	r.fleet.setState(bridge, stateOf(before))
	if before != "" {
		wanted.Labels[labelHealthBefore] = string(before)
	} else if change == causeUser && !isSuspended(b) {
		return false, r.keepImage(ctx, b, wanted, live)
	}
	return false, nil
}

// keepImage lets a change of the spec keep the image of the running pod while no bridge works
// with the operator's default image yet. The roll-out replaces the image later.
func (r *Reconciler) keepImage(ctx context.Context, b *v1alpha1.MQTTBridge, wanted *appsv1ac.DeploymentApplyConfiguration, live *appsv1.Deployment) error {
	containers := live.Spec.Template.Spec.Containers
	i := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == runnerName })
	if i < 0 || b.Spec.Runner != nil && b.Spec.Runner.Image != "" {
		return nil
	}
	if unproven, err := r.isUnproven(ctx, wanted.Annotations[annotationRevision]); err != nil || !unproven {
		return err
	}
	kept, err := deployment(b, containers[i].Image)
	if err != nil {
		return err
	}
	if of := live.Annotations[annotationRevision]; of != "" {
		kept.Annotations[annotationRevision] = of
	}
	*wanted = *kept
	return nil
}

// stageUpdate is the part of stage for a template that only the operator has changed. before is
// the health before an earlier roll-out from which the bridge has not recovered.
func (r *Reconciler) stageUpdate(ctx context.Context, b *v1alpha1.MQTTBridge, wanted *appsv1ac.DeploymentApplyConfiguration, existing liveChild, live *appsv1.Deployment, before health) (kept bool, err error) {
	bridge := client.ObjectKeyFromObject(b)
	if b.Spec.Runner != nil && b.Spec.Runner.UpdatePolicy == v1alpha1.UpdateOnSpecChange {
		r.fleet.setState(bridge, stateOf(before))
		return true, keepTemplate(wanted, existing, live, before)
	}
	admitted, err := r.admit(ctx, bridge, wanted.Annotations[annotationTemplateHash], wanted.Annotations[annotationRevision], before != "")
	if err != nil {
		return false, err
	}
	if !admitted {
		return true, keepTemplate(wanted, existing, live, before)
	}
	if before == "" {
		before = healthOf(b, live)
	}
	wanted.Labels[labelHealthBefore] = string(before)
	return false, nil
}

// stateOf returns the state of a bridge that does not wait.
func stateOf(before health) rolloutState {
	if before != "" {
		return rolloutRecovering
	}
	return ""
}

// keepTemplate replaces the wanted pod template by the fields of the live template that the
// operator owns.
func keepTemplate(wanted *appsv1ac.DeploymentApplyConfiguration, existing liveChild, live *appsv1.Deployment, before health) error {
	applied, err := existing.kind.applied(live)
	if err != nil {
		return fmt.Errorf("reading the applied fields of Deployment %s: %w", live.Name, err)
	}
	kept, ok := applied.(*appsv1ac.DeploymentApplyConfiguration)
	if !ok || kept.Spec == nil || kept.Spec.Template == nil {
		return fmt.Errorf("the operator does not own the pod template of Deployment %s; delete the Deployment, so that the operator creates it again", live.Name)
	}
	wanted.Spec.Template = kept.Spec.Template
	for _, key := range []string{annotationSpecHash, annotationTemplateHash, annotationRevision} {
		delete(wanted.Annotations, key)
		if value, ok := kept.Annotations[key]; ok {
			wanted.Annotations[key] = value
		}
	}
	if before != "" {
		wanted.Labels[labelHealthBefore] = string(before)
	}
	return nil
}

// recovered reports whether the bridge is again as healthy as before a roll-out replaced its
// pod. A suspended bridge counts as recovered.
func (r *Reconciler) recovered(ctx context.Context, b *v1alpha1.MQTTBridge, d *appsv1.Deployment, before health) (bool, error) {
	switch {
	case isSuspended(b):
		return true, nil
	case d.Status.ObservedGeneration < d.Generation, !healthOf(b, d).atLeast(before):
		return false, nil
	case !before.atLeast(healthReady):
		return true, nil
	case b.Status.Runner == nil:
		return false, nil
	}
	// Ready may still be the report of the previous pod.
	pod := &corev1.Pod{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: b.Status.Runner.Pod}, pod)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading pod %s: %w", b.Status.Runner.Pod, err)
	}
	return pod.DeletionTimestamp.IsZero(), nil
}

func isSuspended(b *v1alpha1.MQTTBridge) bool { return ptr.Deref(b.Spec.Suspend, false) }

func conditionTrue(b *v1alpha1.MQTTBridge, conditionType string) bool {
	return meta.IsStatusConditionTrue(b.Status.Conditions, conditionType)
}

// deploymentOf returns the Deployment of the wanted children.
func deploymentOf(wanted []child) *appsv1ac.DeploymentApplyConfiguration {
	for _, c := range wanted {
		if d, ok := c.(*appsv1ac.DeploymentApplyConfiguration); ok {
			return d
		}
	}
	return nil
}
