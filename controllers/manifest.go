// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// manifest renders the bridge.yaml that the runner reads: the bridge with its
// defaults resolved. What only concerns the pod is left out, so that it can change
// without changing the manifest.
func manifest(b *v1alpha1.MQTTBridge) (string, error) {
	resolved := b.WithDefaults()
	spec := resolved.Spec
	spec.Runner = &v1alpha1.Runner{LogLevel: spec.Runner.LogLevel}
	spec.Suspend = nil
	out, err := yaml.Marshal(&v1alpha1.MQTTBridge{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: bridgeKind},
		ObjectMeta: metav1.ObjectMeta{Name: b.Name, Namespace: b.Namespace},
		Spec:       spec,
	})
	if err != nil {
		return "", fmt.Errorf("rendering the manifest: %w", err)
	}
	return string(out), nil
}

// manifestHash tells manifests apart: 16 hexadecimal digits of SHA-256.
func manifestHash(manifest string) string {
	sum := sha256.Sum256([]byte(manifest))
	return hex.EncodeToString(sum[:8])
}
