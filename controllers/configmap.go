// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const manifestKey = v1alpha1.ManifestKey

// configMap holds the manifest. The runner reads it at its start, and then watches it.
func configMap(b *v1alpha1.MQTTBridge, manifest string) *corev1ac.ConfigMapApplyConfiguration {
	return corev1ac.ConfigMap(childName(b.Name), b.Namespace).
		WithLabels(childLabels(b.Name)).
		WithOwnerReferences(ownerReference(b)).
		WithData(map[string]string{manifestKey: manifest})
}
