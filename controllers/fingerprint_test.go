// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
)

func TestFingerprint_ChangedDeployment_ChangesOnlyThePartOfTheField(t *testing.T) {
	parts := func(change func(*appsv1ac.DeploymentApplyConfiguration)) (mark, template, others string) {
		d := builtDeployment(t, newBridge("default", "plant"))
		change(d)
		text, err := wantedFingerprint(d)
		if err != nil {
			t.Fatal(err)
		}
		template, others = splitFingerprint(text)
		return stagingMark(d.Annotations, d.Labels[labelHealthBefore]), template, others
	}
	mark, template, others := parts(func(*appsv1ac.DeploymentApplyConfiguration) {})
	for name, tt := range map[string]struct {
		change                 func(*appsv1ac.DeploymentApplyConfiguration)
		mark, template, others bool
	}{
		"health": {change: func(d *appsv1ac.DeploymentApplyConfiguration) { d.Labels[labelHealthBefore] = "Ready" }, mark: true},
		"revision": {change: func(d *appsv1ac.DeploymentApplyConfiguration) {
			d.Annotations[annotationRevision] = "another"
		}, mark: true},
		"label":       {change: func(d *appsv1ac.DeploymentApplyConfiguration) { d.Labels["a"] = "b" }, others: true},
		"replicas":    {change: func(d *appsv1ac.DeploymentApplyConfiguration) { d.Spec.WithReplicas(0) }, others: true},
		"template":    {change: func(d *appsv1ac.DeploymentApplyConfiguration) { d.Spec.Template.Labels["a"] = "b" }, template: true},
		"no template": {change: func(d *appsv1ac.DeploymentApplyConfiguration) { d.Spec.Template = nil }, template: true},
		"a container": {change: func(d *appsv1ac.DeploymentApplyConfiguration) {
			d.Spec.Template.Spec.WithContainers(corev1ac.Container().WithName("other"))
		}, template: true},
	} {
		m, p, o := parts(tt.change)
		if (m != mark) != tt.mark || (p != template) != tt.template || (o != others) != tt.others {
			t.Errorf("%s: the mark has changed: %t, the template: %t, the other fields: %t", name, m != mark, p != template, o != others)
		}
	}
}

func TestStripDeployment_StateOfARollout_IsKept(t *testing.T) {
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Annotations: map[string]string{annotationPodSpecHash: "s", annotationTemplateHash: "t", annotationRevision: "r", "a": "b"},
			Labels:      map[string]string{labelHealthBefore: "Ready", labelManagedBy: managedByName},
		},
		Status: appsv1.DeploymentStatus{AvailableReplicas: 1, Conditions: []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionFalse},
			{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Message: "no progress"},
		}},
	}
	d.SetSelfLink(stagingPrefix + "x y z Unavailable") // another client has set it
	stripFields(d)
	annotations, before := stagingOf(d)
	if len(annotations) != 3 || annotations[annotationRevision] != "r" || before != healthReady {
		t.Errorf("the cache holds the annotations %v and the health before %q", annotations, before)
	}
	if d.Annotations != nil || d.Labels != nil {
		t.Errorf("the cache holds the maps %v and %v; want none, because they need much memory", d.Annotations, d.Labels)
	}
	if d.Status.AvailableReplicas != 1 || progressFailure(d) != "no progress" || len(d.Status.Conditions) != 1 {
		t.Errorf("the cache holds the status %+v", d.Status)
	}
}
