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
// resolved, and the annotations that request a switch. Fields that only affect the pod are
// left out, so that they can change without changing the manifest.
func runnerManifest(b *v1alpha1.MQTTBridge) (string, error) {
	return render(b, switchRequests(b))
}

// switchRequests returns the annotations that the runner applies while it runs.
func switchRequests(b *v1alpha1.MQTTBridge) map[string]string {
	var out map[string]string
	for _, key := range []string{v1alpha1.AnnotationSwitchLocal, v1alpha1.AnnotationSwitchRemote} {
		if value := b.Annotations[key]; value != "" {
			if out == nil {
				out = map[string]string{}
			}
			out[key] = value
		}
	}
	return out
}

func render(b *v1alpha1.MQTTBridge, annotations map[string]string) (string, error) {
	resolved := b.WithDefaults()
	spec := resolved.Spec
	spec.Runner = &v1alpha1.Runner{LogLevel: spec.Runner.LogLevel}
	spec.Suspend = nil
	if d := spec.Buffer.Disk; d != nil { // the runner only knows the directory
		d.StorageClassName, d.AccessModes, d.RetainPolicy, d.ExistingClaim = "", nil, nil, ""
	}
	out, err := yaml.Marshal(&v1alpha1.MQTTBridge{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: bridgeKind},
		ObjectMeta: metav1.ObjectMeta{Name: b.Name, Namespace: b.Namespace, Annotations: annotations},
		Spec:       spec,
	})
	if err != nil {
		return "", fmt.Errorf("rendering the manifest: %w", err)
	}
	return string(out), nil
}

// specHash returns a hash of the part of the spec that the runner reads at its start. If it
// changes, the runner is restarted.
func specHash(b *v1alpha1.MQTTBridge) (string, error) {
	text, err := render(b, nil)
	return hash(text), err
}

// requestsHash returns a hash of the switch requests, or an empty string if there is none.
func requestsHash(b *v1alpha1.MQTTBridge) (string, error) {
	requested := switchRequests(b)
	if len(requested) == 0 {
		return "", nil
	}
	text, err := yaml.Marshal(requested)
	return hash(string(text)), err
}

// hash returns 16 hexadecimal digits of the SHA-256 of text.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
