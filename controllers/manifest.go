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
// resolved, and its generation, by which the runner recognizes an older manifest. Fields that
// only affect the pod are left out.
func runnerManifest(b *v1alpha1.MQTTBridge) (string, error) {
	return render(b, metav1.ObjectMeta{Generation: b.Generation})
}

// render renders the bridge with the given metadata, to which it adds the name.
func render(b *v1alpha1.MQTTBridge, metadata metav1.ObjectMeta) (string, error) {
	resolved := b.WithDefaults()
	spec := resolved.Spec
	spec.Runner = &v1alpha1.Runner{LogLevel: spec.Runner.LogLevel}
	spec.Suspend, spec.ClassName = nil, ""
	metadata.Name, metadata.Namespace = b.Name, b.Namespace
	out, err := yaml.Marshal(&v1alpha1.MQTTBridge{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: bridgeKind},
		ObjectMeta: metadata,
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
	atStart.Spec.Local.PreferredServer, atStart.Spec.Remote.PreferredServer = nil, nil
	text, err := render(atStart, metav1.ObjectMeta{})
	return hash(text), err
}

// hash returns 16 hexadecimal digits of the SHA-256 of text.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
