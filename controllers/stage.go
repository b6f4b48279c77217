// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// staged is the decision of stage about the Deployment. It is made from the plan and the
// cache, which hold no pod templates, because most passes apply nothing.
type staged struct {
	// kept is true if the live pod template stays.
	kept bool
	// deployment is the wanted Deployment if its template or its strategy is neither the planned
	// nor the live one. Otherwise it is nil.
	deployment *appsv1ac.DeploymentApplyConfiguration
	// annotations are the wanted stagingAnnotations.
	annotations map[string]string
	// before is the wanted value of labelHealthBefore. It is empty if the label is absent.
	before health
}

// stage decides whether this pass may change the pod template, and which annotations and labels
// the Deployment gets. It lets a change of the spec change the template at once. If only the
// operator has changed the template, the change is part of a roll-out over the fleet: until it
// is the bridge's turn, the live template is kept. live is nil if there is no Deployment yet.
//
// A change that the running process applies does not change the template. It is in the
// manifest, which is applied in any case, and does not end the wait for a roll-out.
func (r *Reconciler) stage(ctx context.Context, b *v1alpha1.MQTTBridge, p *plan, live *appsv1.Deployment) (*staged, error) {
	s, err := r.stageTemplate(ctx, b, p, live)
	if err != nil {
		return nil, err
	}
	return s, r.stageStrategy(ctx, b, s, live)
}

// stageTemplate is the part of stage for the pod template.
func (r *Reconciler) stageTemplate(ctx context.Context, b *v1alpha1.MQTTBridge, p *plan, live *appsv1.Deployment) (*staged, error) {
	bridge := client.ObjectKeyFromObject(b)
	revision, err := r.revision.of(r.podDefaults())
	if err != nil {
		return nil, err
	}
	s := &staged{annotations: map[string]string{
		annotationPodSpecHash: p.podSpecHash, annotationTemplateHash: p.templateHash, annotationRevision: revision,
	}}
	markRunners(b, s.annotations)
	if live == nil {
		r.fleet.setState(bridge, "")
		return s, nil
	}
	annotations, before := stagingOf(live)
	s.before = before
	if s.before != "" {
		recovered, err := r.recovered(ctx, b, live, s.before)
		if err != nil {
			return nil, err
		}
		if recovered {
			s.before = ""
		}
	}
	change, err := causeFor(b, annotations, s.annotations)
	if err != nil {
		return nil, err
	}
	if change == causeNone && annotations[annotationRevision] != "" {
		// The annotation names the operator that changed the template last.
		s.annotations[annotationRevision] = annotations[annotationRevision]
	}
	if change == causeOperator && !isSuspended(b) {
		return s, r.stageUpdate(b, s, live)
	}
	r.fleet.setState(bridge, stateOf(s.before))
	if s.before == "" && change == causeUser && !isSuspended(b) {
		return s, r.keepImage(ctx, b, s, live)
	}
	return s, nil
}

// keepImage lets a change of the spec keep the image of the running pod, and the Secrets that it was
// pulled with, while no bridge works with the operator's default image yet. The roll-out replaces the image later. It does not keep the
// image of a runner without a group when a standby is added: only the operator's own image is known to
// join a group, and an earlier runner ends because it does not know the arguments.
func (r *Reconciler) keepImage(ctx context.Context, b *v1alpha1.MQTTBridge, s *staged, live *appsv1.Deployment) error {
	if b.Spec.Runner != nil && b.Spec.Runner.Image != "" {
		return nil
	}
	if !r.fleet.isUnproven(s.annotations[annotationRevision]) {
		return nil
	}
	annotations, _ := stagingOf(live)
	if b.Spec.HasStandby() && runnersOf(annotations) < 2 {
		return nil
	}
	complete, err := r.completeDeployment(ctx, live)
	if err != nil {
		return err
	}
	containers := complete.Spec.Template.Spec.Containers
	i := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == runnerName })
	if i < 0 {
		return nil
	}
	defaults := podDefaults{image: containers[i].Image}
	for _, secret := range complete.Spec.Template.Spec.ImagePullSecrets {
		defaults.pullSecrets = append(defaults.pullSecrets, secret.Name)
	}
	kept, err := deployment(b, defaults)
	if err != nil {
		return err
	}
	s.deployment, s.annotations = kept, maps.Clone(kept.Annotations)
	if annotations[annotationRevision] != "" {
		s.annotations[annotationRevision] = annotations[annotationRevision]
	}
	if byEarlierOperator(annotations) { // the runner of the kept image, too, needs a new pod for each change
		delete(s.annotations, annotationPodSpecHash)
		s.annotations[annotationEarlierSpecHash], err = earlierSpecHash(b)
	}
	return err
}

// stageUpdate is the part of stage for a template that only the operator has changed. s.before
// is the health before an earlier roll-out from which the bridge has not recovered.
func (r *Reconciler) stageUpdate(b *v1alpha1.MQTTBridge, s *staged, live *appsv1.Deployment) error {
	bridge := client.ObjectKeyFromObject(b)
	if b.Spec.Runner != nil && b.Spec.Runner.UpdatePolicy == v1alpha1.UpdateOnSpecChange {
		r.fleet.setState(bridge, stateOf(s.before))
		return s.keepTemplate(live)
	}
	if s.before == "" { // a bridge that has not recovered needs no window: a correction must reach it
		opens, err := r.nextWindow(b)
		if err != nil {
			return err
		}
		if !opens.IsZero() && r.fleet.schedule(bridge, s.annotations[annotationTemplateHash], opens) {
			return s.keepTemplate(live)
		}
	}
	if !r.fleet.admit(bridge, s.annotations[annotationTemplateHash], s.annotations[annotationRevision], s.before != "", r.MaxUnavailable) {
		return s.keepTemplate(live)
	}
	if s.before == "" {
		s.before = healthOf(b, live)
	}
	return nil
}

// stateOf returns the state of a bridge that does not wait.
func stateOf(before health) rolloutState {
	if before != "" {
		return rolloutRecovering
	}
	return ""
}

// keepTemplate keeps the live pod template, and the annotations that describe it.
func (s *staged) keepTemplate(live *appsv1.Deployment) error {
	if template, _ := splitFingerprint(appliedFingerprint(live)); template == "" {
		return fmt.Errorf(msgTemplateNotOurs, live.Name)
	}
	s.kept = true
	s.annotations, _ = stagingOf(live)
	return nil
}

// fingerprint returns the fingerprint of the wanted Deployment. planned is its fingerprint in
// the plan.
func (s *staged) fingerprint(planned string, live *appsv1.Deployment) (string, error) {
	template, others := splitFingerprint(planned)
	if s.deployment != nil {
		text, err := wantedFingerprint(s.deployment)
		if err != nil {
			return "", err
		}
		template, others = splitFingerprint(text)
	}
	if s.kept {
		template, _ = splitFingerprint(appliedFingerprint(live))
	}
	return joinFingerprint(stagingMark(s.annotations, string(s.before)), template, others), nil
}

// wantedDeployment returns the wanted Deployment. planned is the result of build.
func (r *Reconciler) wantedDeployment(ctx context.Context, s *staged, planned *appsv1ac.DeploymentApplyConfiguration, live *appsv1.Deployment) (*appsv1ac.DeploymentApplyConfiguration, error) {
	wanted := planned
	if s.deployment != nil {
		wanted = s.deployment
	}
	if s.kept {
		template, err := r.liveTemplate(ctx, live)
		if err != nil {
			return nil, err
		}
		wanted.Spec.Template = template
	}
	wanted.Annotations = s.annotations
	if s.before != "" {
		wanted.Labels[labelHealthBefore] = string(s.before)
	}
	return wanted, nil
}

// liveTemplate returns the fields of the live pod template that the operator owns.
func (r *Reconciler) liveTemplate(ctx context.Context, live *appsv1.Deployment) (*corev1ac.PodTemplateSpecApplyConfiguration, error) {
	complete, err := r.completeDeployment(ctx, live)
	if err != nil {
		return nil, err
	}
	applied, err := appsv1ac.ExtractDeployment(complete, FieldOwner)
	if err != nil {
		return nil, fmt.Errorf("reading the applied fields of Deployment %s: %w", live.Name, err)
	}
	if applied.Spec == nil || applied.Spec.Template == nil {
		return nil, fmt.Errorf(msgTemplateNotOurs, live.Name)
	}
	return applied.Spec.Template, nil
}

// completeDeployment reads a Deployment from the API server, because the cache holds no pod
// templates. The decision of stage is about the version in the cache. If the Deployment has
// changed since, the cache receives the change, which starts another pass.
func (r *Reconciler) completeDeployment(ctx context.Context, live *appsv1.Deployment) (*appsv1.Deployment, error) {
	complete := &appsv1.Deployment{}
	err := r.APIReader.Get(ctx, client.ObjectKeyFromObject(live), complete)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("reading Deployment %s: %w", live.Name, err)
	}
	if err != nil || complete.UID != live.UID || complete.Generation != live.Generation {
		return nil, waitError{fmt.Errorf("reading Deployment %s: it has changed since the cache received it", live.Name)}
	}
	return complete, nil
}

// recovered reports whether the bridge is again as healthy as before a roll-out replaced its
// pod. A suspended bridge counts as recovered.
func (r *Reconciler) recovered(ctx context.Context, b *v1alpha1.MQTTBridge, d *appsv1.Deployment, before health) (bool, error) {
	switch {
	case isSuspended(b):
		return true, nil
	case d.Status.ObservedGeneration < d.Generation, !healthOf(b, d).atLeast(before):
		return false, nil
	case before.atLeast(healthAvailable) && rollsOut(d): // the pod that is healthy may be an earlier one
		return false, nil
	case !before.atLeast(healthAlone):
		return true, nil
	case b.Status.ActiveRunner() == nil:
		return false, nil
	}
	// Ready may still be the report of the previous pod.
	pod := &corev1.Pod{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: reporterOf(b)}, pod)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading pod %s: %w", reporterOf(b), err)
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
