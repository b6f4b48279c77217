// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// serviceAccount returns the ServiceAccount that the runner uses to report. Its token is
// mounted only in pods that request it.
func serviceAccount(b *v1alpha1.MQTTBridge) *corev1ac.ServiceAccountApplyConfiguration {
	return corev1ac.ServiceAccount(childName(b.Name), b.Namespace).
		WithLabels(childLabels(b.Name)).
		WithOwnerReferences(ownerReference(b)).
		WithAutomountServiceAccountToken(false)
}

// serviceAccountName returns the name of the pod's ServiceAccount: the ServiceAccount that
// the spec names, or the child.
func serviceAccountName(b *v1alpha1.MQTTBridge) string {
	if b.Spec.Runner != nil && b.Spec.Runner.ServiceAccountName != "" {
		return b.Spec.Runner.ServiceAccountName
	}
	return childName(b.Name)
}

// role returns the Role that allows the runner to patch the status of its own bridge, to watch the
// ConfigMap with its manifest, with two runners to use their Lease, and nothing else. A watch
// begins with the current object, so that the runner needs no right to get the ConfigMap.
func role(b *v1alpha1.MQTTBridge) *rbacv1ac.RoleApplyConfiguration {
	out := rbacv1ac.Role(childName(b.Name), b.Namespace).
		WithLabels(childLabels(b.Name)).
		WithOwnerReferences(ownerReference(b)).
		WithRules(rbacv1ac.PolicyRule().
			WithAPIGroups(v1alpha1.GroupVersion.Group).
			WithResources("mqttbridges/status").
			WithResourceNames(b.Name).
			WithVerbs("patch"),
			rbacv1ac.PolicyRule().
				WithAPIGroups(corev1.GroupName).
				WithResources("configmaps").
				WithResourceNames(childName(b.Name)).
				WithVerbs("watch"))
	if b.Spec.HasStandby() {
		out.WithRules(leaseRule(b))
	}
	return out
}

// roleBinding returns the RoleBinding that grants the runner its role.
func roleBinding(b *v1alpha1.MQTTBridge) *rbacv1ac.RoleBindingApplyConfiguration {
	return rbacv1ac.RoleBinding(childName(b.Name), b.Namespace).
		WithLabels(childLabels(b.Name)).
		WithOwnerReferences(ownerReference(b)).
		WithSubjects(rbacv1ac.Subject().
			WithKind(rbacv1.ServiceAccountKind).
			WithNamespace(b.Namespace).
			WithName(serviceAccountName(b))).
		WithRoleRef(rbacv1ac.RoleRef().
			WithAPIGroup(rbacv1.GroupName).
			WithKind("Role").
			WithName(childName(b.Name)))
}
