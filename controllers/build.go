// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// child is the wanted state of a child: an apply configuration with kind and name.
type child interface {
	runtime.ApplyConfiguration
	GetKind() *string
	GetName() *string
}

// build returns the wanted children of the bridge in the order in which they are applied.
// The pod's dependencies come before the pod. The claim comes first, because it is the only
// child that cannot accept every change: if the API server refuses it, no other child has
// changed. The objects that the Role names come before the Role: if one of them exists and
// belongs to another program, the Role must not grant any right to it. build is pure.
func build(b *v1alpha1.MQTTBridge, defaults podDefaults) ([]child, error) {
	runner, err := deployment(b, defaults)
	if err != nil {
		return nil, err
	}
	config, err := configMap(b, runner.Annotations[annotationTemplateHash])
	if err != nil {
		return nil, err
	}
	var children []child
	if hasOwnClaim(b) {
		children = append(children, claim(b, disk(b)))
	}
	policy, err := networkPolicy(b)
	if err != nil {
		return nil, err
	}
	if policy != nil {
		// Before the manifest, so that a new server can be reached when the runner learns of it.
		children = append(children, policy)
	}
	children = append(children, config)
	if serviceAccountName(b) == childName(b.Name) {
		children = append(children, serviceAccount(b))
	}
	if b.Spec.HasStandby() {
		children = append(children, lease(b), disruptionBudget(b))
	}
	return append(children, role(b), roleBinding(b), runner), nil
}
