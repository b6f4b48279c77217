// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const (
	configMapKind = "ConfigMap"
	manifestKey   = v1alpha1.ManifestKey
)

// configMap holds the manifest. The runner reads it at its start, and then watches it.
// templateHash is the hash of the Deployment's pod template (runnerManifest).
func configMap(b *v1alpha1.MQTTBridge, templateHash string) (*corev1ac.ConfigMapApplyConfiguration, error) {
	manifest, err := runnerManifest(b, templateHash)
	if err != nil {
		return nil, err
	}
	return corev1ac.ConfigMap(childName(b.Name), b.Namespace).
		WithLabels(childLabels(b.Name)).
		WithOwnerReferences(ownerReference(b)).
		WithData(map[string]string{manifestKey: manifest}), nil
}
