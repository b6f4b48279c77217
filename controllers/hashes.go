// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// deploymentHashes returns the annotations of the Deployment that depend only on the bridge
// and on its wanted pod template.
func deploymentHashes(b *v1alpha1.MQTTBridge, template *corev1ac.PodTemplateSpecApplyConfiguration) (map[string]string, error) {
	spec, err := specHash(b, template.Annotations[annotationManifestHash])
	if err != nil {
		return nil, err
	}
	pod, err := hashOf(template)
	if err != nil {
		return nil, err
	}
	return map[string]string{annotationSpecHash: spec, annotationTemplateHash: pod}, nil
}

// specHash returns a hash of the part of the spec that affects the pod, including the claim
// that the manifest does not name. It changes only if the user changes the spec: it does not
// depend on the version of the operator. manifest is the manifestHash of the bridge.
func specHash(b *v1alpha1.MQTTBridge, manifest string) (string, error) {
	runner := ptr.Deref(b.Spec.Runner, v1alpha1.Runner{})
	// Setting these fields must not replace the pod.
	runner.UpdatePolicy, runner.UpdateWindows, runner.UpdateTimeZone = "", nil, ""
	parts := struct {
		Manifest string          `json:"manifest"`
		Runner   v1alpha1.Runner `json:"runner"`
		Suspend  bool            `json:"suspend"`
		Claim    string          `json:"claim,omitempty"`
	}{Manifest: manifest, Runner: runner, Suspend: isSuspended(b)}
	if d := disk(b); d != nil {
		parts.Claim = d.ExistingClaim
	}
	return hashOf(&parts)
}

// revision identifies this version of the operator in roll-outs.
type revision struct {
	once sync.Once
	hash string
	err  error
}

// of returns a hash of the part of all pod templates that the operator determines: its code,
// and the default image of the runners.
func (r *revision) of(image string) (string, error) {
	r.once.Do(func() {
		template, err := podTemplate(&v1alpha1.MQTTBridge{}, image)
		if err != nil {
			r.err = err
			return
		}
		r.hash, r.err = hashOf(template)
	})
	return r.hash, r.err
}

// hashOf returns the hash of the JSON form of v, a pointer to a struct. It sorts the fields, so
// that the hash does not depend on the order in which Go types declare them.
func hashOf(v any) (string, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(v)
	if err != nil {
		return "", fmt.Errorf("hashing %T: %w", v, err)
	}
	return hashOfJSON(fields)
}
