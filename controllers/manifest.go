// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// runnerManifest renders the bridge.yaml that the runner reads: the fields that the user has
// set, the version of the protocol (package manifest), and the generation, by which the runner
// recognizes an older manifest. It contains no defaults, because the runner may have other
// defaults than this version of the operator, and an upgrade of the operator must not change
// the manifest.
//
// templateHash is the hash of the pod template that the Deployment has with this manifest, or
// empty if it has none. Fields that only affect the pod are not in the spec of the manifest. A
// running runner compares this hash before it applies the manifest and reports its generation.
func runnerManifest(b *v1alpha1.MQTTBridge, templateHash string) (string, error) {
	annotations := map[string]string{manifest.AnnotationVersion: strconv.Itoa(manifest.Version)}
	if templateHash != "" {
		annotations[manifest.AnnotationTemplateHash] = templateHash
	}
	if request := b.Annotations[manifest.AnnotationHandOver]; request != "" && b.Spec.HasStandby() {
		annotations[manifest.AnnotationHandOver] = request
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&v1alpha1.MQTTBridge{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: bridgeKind},
		ObjectMeta: metav1.ObjectMeta{Name: b.Name, Namespace: b.Namespace, Generation: b.Generation, DeletionTimestamp: b.DeletionTimestamp, Annotations: annotations},
		Spec:       *runnerSpec(b),
	})
	if err != nil {
		return "", fmt.Errorf("converting the manifest: %w", err)
	}
	delete(fields, "status")
	out, err := yaml.Marshal(fields)
	if err != nil {
		return "", fmt.Errorf("rendering the manifest: %w", err)
	}
	return string(out), nil
}

// runnerSpec returns the part of the spec that the runner uses. Fields that affect only the
// pod or another child are left out, so that they can change without changing the manifest.
func runnerSpec(b *v1alpha1.MQTTBridge) *v1alpha1.MQTTBridgeSpec {
	spec := b.Spec // a shallow copy: changed parts are replaced
	spec.Suspend, spec.ClassName = nil, ""
	spec.Replicas, spec.Standby = nil, nil // arguments of the runner
	if b.DeletionTimestamp.IsZero() {
		spec.DeletionPolicy, spec.DeletionTimeoutSeconds = nil, nil
	}
	spec.Runner = nil
	if r := b.Spec.Runner; r != nil && (r.LogLevel != "" || r.LogFormat != "") {
		spec.Runner = &v1alpha1.Runner{LogLevel: r.LogLevel, LogFormat: r.LogFormat}
	}
	if disk(b) != nil { // the runner only knows the directory
		spec.Buffer = b.Spec.Buffer.DeepCopy()
		d := spec.Buffer.Disk
		d.StorageClassName, d.AccessModes, d.RetainPolicy, d.ExistingClaim = "", nil, nil, ""
	}
	return &spec
}

// hash returns 16 hexadecimal digits of the SHA-256 of text.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
