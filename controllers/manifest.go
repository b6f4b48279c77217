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

// runnerManifest renders the bridge.yaml that the runner reads: the bridge with its defaults
// resolved, and its generation, which the runner reports with a requested switch. Fields that
// only affect the pod are left out.
func runnerManifest(b *v1alpha1.MQTTBridge) (string, error) {
	resolved := b.WithDefaults()
	spec := resolved.Spec
	spec.Runner = &v1alpha1.Runner{LogLevel: spec.Runner.LogLevel}
	spec.Suspend = nil
	out, err := yaml.Marshal(&v1alpha1.MQTTBridge{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: bridgeKind},
		ObjectMeta: metav1.ObjectMeta{Name: b.Name, Namespace: b.Namespace, Generation: b.Generation},
		Spec:       spec,
	})
	if err != nil {
		return "", fmt.Errorf("rendering the manifest: %w", err)
	}
	return string(out), nil
}

// specHash returns a hash of the part of the spec that the runner applies only at its start.
// If it changes, the runner is restarted. The runner applies the preferred servers while it
// runs.
func specHash(b *v1alpha1.MQTTBridge) (string, error) {
	atStart := b.DeepCopy()
	atStart.Generation = 0
	atStart.Spec.Local.PreferredServer, atStart.Spec.Remote.PreferredServer = nil, nil
	text, err := runnerManifest(atStart)
	return hash(text), err
}

// requestsHash returns a hash of the preferred servers, or an empty string if there is none.
func requestsHash(b *v1alpha1.MQTTBridge) (string, error) {
	local, remote := b.Spec.Local.PreferredServer, b.Spec.Remote.PreferredServer
	if local == nil && remote == nil {
		return "", nil
	}
	text, err := yaml.Marshal([]*v1alpha1.PreferredServer{local, remote})
	return hash(string(text)), err
}

// hash returns 16 hexadecimal digits of the SHA-256 of text.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
