// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// runnerManifest renders the bridge.yaml that the runner reads: the fields that the user has
// set, the version of the protocol (package manifest), and the annotations that request a
// switch. It contains no defaults, because the runner may have other defaults than this
// version of the operator, and an upgrade of the operator must not change the manifest.
func runnerManifest(b *v1alpha1.MQTTBridge) (string, error) {
	annotations := switchRequests(b)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[manifest.AnnotationVersion] = strconv.Itoa(manifest.Version)
	out, err := yaml.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(),
		"kind":       bridgeKind,
		"metadata":   metav1.ObjectMeta{Name: b.Name, Namespace: b.Namespace, Annotations: annotations},
		"spec":       runnerSpec(b),
	})
	if err != nil {
		return "", fmt.Errorf("rendering the manifest: %w", err)
	}
	return string(out), nil
}

// runnerSpec returns the part of the spec that the runner uses. Fields that affect only the
// pod or another child are left out, so that they can change without changing the manifest.
func runnerSpec(b *v1alpha1.MQTTBridge) *v1alpha1.MQTTBridgeSpec {
	spec := b.Spec // a shallow copy: changed parts are replaced
	spec.Suspend = nil
	spec.Runner = nil
	if r := b.Spec.Runner; r != nil && r.LogLevel != "" {
		spec.Runner = &v1alpha1.Runner{LogLevel: r.LogLevel}
	}
	if d := disk(b); d != nil && d.StorageClassName != "" {
		spec.Buffer = b.Spec.Buffer.DeepCopy()
		spec.Buffer.Disk.StorageClassName = ""
	}
	return &spec
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

// manifestHash returns a hash of the part of the spec that the runner reads at its start. If
// it changes, the runner is restarted.
func manifestHash(b *v1alpha1.MQTTBridge) (string, error) {
	text, err := yaml.Marshal(runnerSpec(b))
	return hash(string(text)), err
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
