// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// validate returns the errors of a spec that the schema cannot detect: errors for which the
// runner would refuse the manifest.
func validate(b *v1alpha1.MQTTBridge) field.ErrorList {
	// Objects from the cache have no apiVersion and kind, but a manifest must have them.
	typed := b.DeepCopy()
	typed.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: bridgeKind}
	return manifest.Validate(typed)
}
