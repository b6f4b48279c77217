// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"
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
	// applied returns the fields that FieldOwner last applied to an object and still
	// owns, with the object's current values.
	applied func(client.Object) (runtime.ApplyConfiguration, error)
}

// childKinds are all kinds of children. Objects of other kinds are not watched, cached or
// pruned.
var childKinds = []childKind{
	// A claim may hold messages.
	withoutPruning(newChildKind(corev1.SchemeGroupVersion.WithKind(claimKind), &corev1.PersistentVolumeClaimList{}, corev1ac.ExtractPersistentVolumeClaim)),
	newChildKind(corev1.SchemeGroupVersion.WithKind(configMapKind), &corev1.ConfigMapList{}, corev1ac.ExtractConfigMap),
	newChildKind(corev1.SchemeGroupVersion.WithKind("ServiceAccount"), &corev1.ServiceAccountList{}, corev1ac.ExtractServiceAccount),
	newChildKind(rbacv1.SchemeGroupVersion.WithKind("Role"), &rbacv1.RoleList{}, rbacv1ac.ExtractRole),
	newChildKind(rbacv1.SchemeGroupVersion.WithKind("RoleBinding"), &rbacv1.RoleBindingList{}, rbacv1ac.ExtractRoleBinding),
	newChildKind(appsv1.SchemeGroupVersion.WithKind(deploymentKind), &appsv1.DeploymentList{}, appsv1ac.ExtractDeployment),
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

func newChildKind[O, L any, P objectPointer[O], Q listPointer[L], A runtime.ApplyConfiguration](
	gvk schema.GroupVersionKind, _ Q, extract func(P, string) (A, error),
) childKind {
	return childKind{
		gvk:       gvk,
		object:    P(new(O)),
		newObject: func() client.Object { return P(new(O)) },
		newList:   func() client.ObjectList { return Q(new(L)) },
		applied: func(obj client.Object) (runtime.ApplyConfiguration, error) {
			typed, ok := obj.(P)
			if !ok {
				return nil, fmt.Errorf("a %T is not a %s", obj, gvk.Kind)
			}
			return extract(typed, FieldOwner)
		},
	}
}
