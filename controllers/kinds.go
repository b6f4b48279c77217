// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// childKind is a kind of children.
type childKind struct {
	gvk    schema.GroupVersionKind
	object client.Object
	// newObject and newList return an empty object and list of the kind.
	newObject func() client.Object
	newList   func() client.ObjectList
	// neverPrune is true if a child that is no longer wanted stays, and may outlive the
	// bridge.
	neverPrune bool
}

// childKinds are all kinds of children. Objects of other kinds are not watched, cached or
// pruned.
var childKinds = []childKind{
	// A claim may hold messages.
	withoutPruning(newChildKind(corev1.SchemeGroupVersion.WithKind(claimKind), &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolumeClaimList{})),
	newChildKind(corev1.SchemeGroupVersion.WithKind(configMapKind), &corev1.ConfigMap{}, &corev1.ConfigMapList{}),
	newChildKind(corev1.SchemeGroupVersion.WithKind("ServiceAccount"), &corev1.ServiceAccount{}, &corev1.ServiceAccountList{}),
	newChildKind(rbacv1.SchemeGroupVersion.WithKind("Role"), &rbacv1.Role{}, &rbacv1.RoleList{}),
	newChildKind(rbacv1.SchemeGroupVersion.WithKind("RoleBinding"), &rbacv1.RoleBinding{}, &rbacv1.RoleBindingList{}),
	newChildKind(appsv1.SchemeGroupVersion.WithKind(deploymentKind), &appsv1.Deployment{}, &appsv1.DeploymentList{}),
	newMetadataKind(coordinationv1.SchemeGroupVersion.WithKind(leaseKind)),
	newChildKind(networkingv1.SchemeGroupVersion.WithKind(networkPolicyKind), &networkingv1.NetworkPolicy{}, &networkingv1.NetworkPolicyList{}),
	newChildKind(policyv1.SchemeGroupVersion.WithKind(budgetKind), &policyv1.PodDisruptionBudget{}, &policyv1.PodDisruptionBudgetList{}),
}

func withoutPruning(kind childKind) childKind {
	kind.neverPrune = true
	return kind
}

// objectPointer is a pointer to O that is an API object.
type objectPointer[O any] interface {
	*O
	client.Object
}

// listPointer is a pointer to L that is a list of API objects.
type listPointer[L any] interface {
	*L
	client.ObjectList
}

func newChildKind[O, L any, P objectPointer[O], Q listPointer[L]](gvk schema.GroupVersionKind, _ P, _ Q) childKind {
	return childKind{
		gvk:       gvk,
		object:    P(new(O)),
		newObject: func() client.Object { return P(new(O)) },
		newList:   func() client.ObjectList { return Q(new(L)) },
	}
}

// newMetadataKind returns a kind of children whose metadata is the only part that the operator reads
// and writes.
func newMetadataKind(gvk schema.GroupVersionKind) childKind {
	newObject := func() client.Object {
		out := &metav1.PartialObjectMetadata{}
		out.SetGroupVersionKind(gvk)
		return out
	}
	return childKind{
		gvk:       gvk,
		object:    newObject(),
		newObject: newObject,
		newList: func() client.ObjectList {
			out := &metav1.PartialObjectMetadataList{}
			out.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
			return out
		},
	}
}
