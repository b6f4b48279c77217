// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"strings"
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// The functions of this file remove the fields that the operator does not read from the
// objects of the cache, because the cache needs most of the operator's memory. The cache may
// call them twice for the same object.

// stripBridge removes the managed fields and the manifest that kubectl keeps.
func stripBridge(obj any) (any, error) {
	if b, ok := obj.(*v1alpha1.MQTTBridge); ok {
		b.ManagedFields = nil
		b.Namespace = shared(b.Namespace)
		delete(b.Annotations, corev1.LastAppliedConfigAnnotation)
		for i := range b.Status.Conditions {
			c := &b.Status.Conditions[i]
			c.Type, c.Reason = shared(c.Type), shared(c.Reason)
		}
	}
	return obj, nil
}

// stripPod keeps only a pod's metadata and status, without the annotations and the fields of
// the status that belong to others.
func stripPod(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	stripMeta(&pod.ObjectMeta)
	labels := make(map[string]string, len(pod.Labels))
	for key, value := range pod.Labels {
		labels[shared(key)] = shared(value)
	}
	pod.Labels = labels
	for key := range pod.Annotations {
		if !strings.HasPrefix(key, v1alpha1.GroupVersion.Group+"/") {
			delete(pod.Annotations, key)
		}
	}
	pod.Spec = corev1.PodSpec{}
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		c.Type, c.Status, c.Reason = corev1.PodConditionType(shared(string(c.Type))), corev1.ConditionStatus(shared(string(c.Status))), shared(c.Reason)
	}
	for i := range pod.Status.ContainerStatuses {
		c := &pod.Status.ContainerStatuses[i]
		*c = corev1.ContainerStatus{
			Name: shared(c.Name), State: c.State, LastTerminationState: c.LastTerminationState,
			Ready: c.Ready, RestartCount: c.RestartCount, Started: c.Started,
		}
	}
	return obj, nil
}

// fingerprintPrefix marks a fingerprint in an object of the cache. A generateName cannot
// contain a colon.
const fingerprintPrefix = "applied:"

// stripChild returns a transform for the objects of a kind. It replaces the fields that the
// operator applied, and the managed fields that say so, by their fingerprint, which is kept in
// generateName: children have none, because the operator sets their names. A field that
// another client has changed is no longer owned by the operator, so that the fingerprint is
// another one.
func stripChild(kind childKind) func(any) (any, error) {
	return func(obj any) (any, error) {
		o, ok := obj.(client.Object)
		if !ok || strings.HasPrefix(o.GetGenerateName(), fingerprintPrefix) {
			return obj, nil
		}
		o.SetGenerateName(fingerprintPrefix + fingerprintOf(kind, o))
		stripFields(o)
		return obj, nil
	}
}

// fingerprintOf returns the fingerprint of the fields that the operator last applied to an
// object and still owns. It returns an empty string if they cannot be found. No wanted child
// has this fingerprint, so that the operator applies the child again.
func fingerprintOf(kind childKind, o client.Object) string {
	applied, err := kind.applied(o)
	if err != nil {
		return ""
	}
	text, err := fingerprint(applied)
	if err != nil {
		return ""
	}
	return text
}

// appliedFingerprint returns the fingerprint of the fields of a cached child that the operator
// last applied and still owns.
func appliedFingerprint(o client.Object) string {
	return strings.TrimPrefix(o.GetGenerateName(), fingerprintPrefix)
}

// stripFields removes the fields of a child that the operator does not read.
func stripFields(obj client.Object) {
	switch o := obj.(type) {
	case *corev1.ConfigMap:
		*o = corev1.ConfigMap{ObjectMeta: o.ObjectMeta}
		record := o.Annotations[annotationAnnounced]
		stripChildMeta(&o.ObjectMeta)
		if record != "" {
			o.Annotations = map[string]string{annotationAnnounced: record}
		}
	case *corev1.ServiceAccount:
		*o = corev1.ServiceAccount{ObjectMeta: o.ObjectMeta}
		stripChildMeta(&o.ObjectMeta)
	case *rbacv1.Role:
		*o = rbacv1.Role{ObjectMeta: o.ObjectMeta}
		stripChildMeta(&o.ObjectMeta)
	case *rbacv1.RoleBinding:
		*o = rbacv1.RoleBinding{ObjectMeta: o.ObjectMeta}
		stripChildMeta(&o.ObjectMeta)
	case *appsv1.Deployment:
		*o = appsv1.Deployment{
			ObjectMeta: o.ObjectMeta,
			Spec:       appsv1.DeploymentSpec{Replicas: o.Spec.Replicas},
			Status:     o.Status,
		}
		annotations, label := stagingOf(o)
		stripChildMeta(&o.ObjectMeta)
		o.Annotations, o.Labels = annotations, label
		// Only the condition ReplicaFailure, and the condition Progressing if it is False, say
		// more than the numbers of replicas.
		o.Status.Conditions = slices.DeleteFunc(o.Status.Conditions, func(c appsv1.DeploymentCondition) bool {
			return c.Type != appsv1.DeploymentReplicaFailure && (c.Type != appsv1.DeploymentProgressing || c.Status != corev1.ConditionFalse)
		})
		if len(o.Status.Conditions) == 0 {
			o.Status.Conditions = nil
		}
	default:
		obj.SetManagedFields(nil)
	}
}

// stripChildMeta also removes the labels and annotations of a child, which are a part of its
// fingerprint. The API server selects the children by their labels.
func stripChildMeta(m *metav1.ObjectMeta) {
	stripMeta(m)
	m.Labels, m.Annotations = nil, nil
}

// stagingOf returns the annotations and the label of a Deployment that hold the state of a
// roll-out. Passes over other bridges read them, too.
func stagingOf(d *appsv1.Deployment) (annotations, label map[string]string) {
	for _, key := range stagingAnnotations {
		if value, ok := d.Annotations[key]; ok {
			if annotations == nil {
				annotations = make(map[string]string, len(stagingAnnotations))
			}
			annotations[key] = value
		}
	}
	if value, ok := d.Labels[labelHealthBefore]; ok {
		label = map[string]string{labelHealthBefore: shared(value)}
	}
	return annotations, label
}

// stripMeta removes the managed fields, and lets objects share equal texts.
func stripMeta(m *metav1.ObjectMeta) {
	m.ManagedFields = nil
	m.Namespace = shared(m.Namespace)
	for i := range m.OwnerReferences {
		r := &m.OwnerReferences[i]
		r.APIVersion, r.Kind = shared(r.APIVersion), shared(r.Kind)
	}
}

// shared returns a text that is in memory only once.
func shared(s string) string {
	if s == "" {
		return ""
	}
	return unique.Make(s).Value()
}
