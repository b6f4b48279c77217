// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
)

// validate refuses what the schema cannot tell: what the runner would refuse, and
// what a pod cannot mount.
func validate(b *v1alpha1.MQTTBridge) field.ErrorList {
	// Objects from the cache do not say what they are; a manifest has to.
	typed := b.DeepCopy()
	typed.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: bridgeKind}
	return append(config.Validate(typed), validateReferences(b)...)
}
