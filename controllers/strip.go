// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"maps"
	"slices"
	"strings"
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
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
		for i := range b.Status.Runners {
			r := &b.Status.Runners[i]
			r.Role, r.Image, r.Version, r.Node = v1alpha1.RunnerRole(shared(string(r.Role))), shared(r.Image), shared(r.Version), shared(r.Node)
		}
		b.Status.Conditions, b.Status.Runners = compact(b.Status.Conditions), compact(b.Status.Runners)
	}
	return obj, nil
}

// compact returns a list without the room for more items that the decoder leaves.
func compact[T any](list []T) []T {
	if len(list) == cap(list) {
		return list
	}
	return append(make([]T, 0, len(list)), list...)
}

// stripPod keeps only a pod's name, the image of its runner, the key of its bridge, the cost of its
// deletion, which few pods have, and the part of its status that the operator reads.
func stripPod(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok || len(pod.Spec.Containers) == 0 { // the cache has called stripPod before
		return obj, nil
	}
	stripMeta(&pod.ObjectMeta)
	keepImage(pod)
	keepBridge(pod)
	cost, marked := pod.Annotations[corev1.PodDeletionCost]
	pod.OwnerReferences, pod.Annotations, pod.Labels, pod.Finalizers = nil, nil, nil, nil
	if marked {
		pod.Annotations = map[string]string{corev1.PodDeletionCost: cost}
	}
	pod.Spec = corev1.PodSpec{}
	pod.Status = stripPodStatus(&pod.Status)
	return obj, nil
}

func stripPodStatus(s *corev1.PodStatus) corev1.PodStatus {
	out := corev1.PodStatus{Phase: corev1.PodPhase(shared(string(s.Phase))), Reason: shared(s.Reason), Message: s.Message}
	for i := range s.Conditions {
		c := s.Conditions[i]
		if readsPodCondition(&c) {
			c.Type, c.Status, c.Reason = corev1.PodConditionType(shared(string(c.Type))), corev1.ConditionStatus(shared(string(c.Status))), shared(c.Reason)
			out.Conditions = append(out.Conditions, c)
		}
	}
	for i := range s.ContainerStatuses {
		c := &s.ContainerStatuses[i]
		if c.State.Waiting == nil && c.State.Terminated == nil && c.LastTerminationState.Terminated == nil {
			continue // it runs for the first time
		}
		out.ContainerStatuses = append(out.ContainerStatuses, corev1.ContainerStatus{
			Name: shared(c.Name), State: c.State, LastTerminationState: c.LastTerminationState,
			Ready: c.Ready, RestartCount: c.RestartCount, Started: c.Started,
		})
	}
	return out
}

// readsPodCondition reports whether the operator reads a condition of a pod. PodScheduled says
// nothing unless it is False.
func readsPodCondition(c *corev1.PodCondition) bool {
	return c.Type == corev1.PodReady || c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse
}

// keepBridge keeps the key of the bridge that a pod belongs to in selfLink, instead of the label
// with its name, because a map needs more than 300 bytes. API servers no longer use selfLink.
func keepBridge(pod *corev1.Pod) {
	pod.SetSelfLink("")
	if name := pod.Labels[labelInstance]; name != "" {
		pod.SetSelfLink(pod.Namespace + "/" + name)
	}
}

// bridgeKeyOf returns the key of the bridge that a pod of the cache belongs to, as
// "namespace/name", or an empty string if there is none.
func bridgeKeyOf(pod *corev1.Pod) string { return pod.GetSelfLink() }

// fingerprintPrefix marks a fingerprint in an object of the cache. A generateName cannot
// contain a slash. It can contain a colon in the kinds of RBAC.
const fingerprintPrefix = "applied/"

// stripChild returns a transform for the children of a kind. It replaces the fields that the
// operator applied, and the managed fields that say so, by their fingerprint, which is kept in
// generateName: children have none, because the operator sets their names. A field that
// another client has changed is no longer owned by the operator, so that the fingerprint is
// another one.
func stripChild(kind string) func(any) (any, error) {
	return func(obj any) (any, error) {
		o, ok := obj.(client.Object)
		if !ok || strings.HasPrefix(o.GetGenerateName(), fingerprintPrefix) {
			return obj, nil
		}
		// If the owned fields cannot be found, no wanted child has their fingerprint, so that
		// the operator applies the child again.
		text := ""
		owned, err := ownedFields(o)
		if d, ok := o.(*appsv1.Deployment); ok {
			keepOwnStaging(d, owned)
		}
		if err == nil {
			text, _ = fingerprint(kind, owned)
		}
		o.SetGenerateName(fingerprintPrefix + text)
		stripFields(o)
		return obj, nil
	}
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
			Spec: appsv1.DeploymentSpec{
				Replicas: o.Spec.Replicas,
				Strategy: appsv1.DeploymentStrategy{Type: appsv1.DeploymentStrategyType(shared(string(o.Spec.Strategy.Type)))},
			},
			Status: o.Status,
		}
		o.SetSelfLink(packStaging(o))
		stripChildMeta(&o.ObjectMeta)
		// Only the condition ReplicaFailure, and the condition Progressing if it is False, say
		// more than the numbers of replicas.
		o.Status.Conditions = slices.DeleteFunc(o.Status.Conditions, func(c appsv1.DeploymentCondition) bool {
			return c.Type != appsv1.DeploymentReplicaFailure && (c.Type != appsv1.DeploymentProgressing || c.Status != corev1.ConditionFalse)
		})
		if len(o.Status.Conditions) == 0 {
			o.Status.Conditions = nil
		}
	case *networkingv1.NetworkPolicy:
		*o = networkingv1.NetworkPolicy{ObjectMeta: o.ObjectMeta}
		stripChildMeta(&o.ObjectMeta)
	case *policyv1.PodDisruptionBudget:
		*o = policyv1.PodDisruptionBudget{ObjectMeta: o.ObjectMeta}
		stripChildMeta(&o.ObjectMeta)
	case *metav1.PartialObjectMetadata:
		stripChildMeta(&o.ObjectMeta)
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

// keepOwnStaging removes the annotations and labels of a Deployment, which hold the state of a
// roll-out, unless the operator has applied them. The operator cannot remove a label that
// another client has set, so that roll-outs would wait for its end forever.
func keepOwnStaging(d *appsv1.Deployment, owned map[string]any) {
	annotations, labels := part(owned, "metadata", "annotations"), part(owned, "metadata", "labels")
	maps.DeleteFunc(d.Annotations, func(key, _ string) bool { return annotations[key] == nil })
	maps.DeleteFunc(d.Labels, func(key, _ string) bool { return labels[key] == nil })
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
