// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// child is the wanted state of a child: an apply configuration and its identity.
type child interface {
	runtime.ApplyConfiguration
	GetKind() *string
	GetName() *string
}

// build returns the children that the bridge wants, in the order in which they are
// to be applied: what the pod needs comes before the pod, and the claim, which alone
// cannot take every change, before all, so that a refused one changes nothing. It is
// pure.
func build(b *v1alpha1.MQTTBridge, image string) ([]child, error) {
	bridgeYAML, err := manifest(b)
	if err != nil {
		return nil, err
	}
	runner, err := deployment(b, image)
	if err != nil {
		return nil, err
	}
	var children []child
	if d := disk(b); d != nil {
		children = append(children, claim(b, d))
	}
	return append(children,
		configMap(b, bridgeYAML),
		serviceAccount(b),
		role(b),
		roleBinding(b),
		runner,
	), nil
}
