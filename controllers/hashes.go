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
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// deploymentHashes returns the annotations of the Deployment that depend only on the bridge
// and on its wanted pod template.
func deploymentHashes(b *v1alpha1.MQTTBridge, template *corev1ac.PodTemplateSpecApplyConfiguration) (map[string]string, error) {
	spec, err := podSpecHash(b)
	if err != nil {
		return nil, err
	}
	pod, err := hashOf(template)
	if err != nil {
		return nil, err
	}
	annotations := map[string]string{annotationPodSpecHash: spec, annotationTemplateHash: pod}
	markRunners(b, annotations)
	return annotations, nil
}

// podSpecHash returns a hash of the part of the spec that the pod depends on. It changes only
// if the user changes this part: it does not depend on the version of the operator. The running
// process applies all other changes.
func podSpecHash(b *v1alpha1.MQTTBridge) (string, error) {
	runner := ptr.Deref(b.Spec.Runner, v1alpha1.Runner{})
	// The pod does not depend on these fields.
	runner.LogLevel, runner.LogFormat, runner.UpdatePolicy, runner.UpdateWindows, runner.UpdateTimeZone, runner.NetworkPolicy = "", "", "", nil, "", nil
	parts := struct {
		Runner  v1alpha1.Runner `json:"runner"`
		Suspend bool            `json:"suspend"`
		// References are the files that the volume of the pod has.
		References []string `json:"references,omitempty"`
		// ExistingClaim is nil without a buffer on disk, and empty for the bridge's own claim.
		ExistingClaim *string `json:"existingClaim,omitempty"`
		// LeaseSeconds is nil with one runner.
		LeaseSeconds *int32 `json:"leaseSeconds,omitempty"`
	}{Runner: runner, Suspend: isSuspended(b)}
	for _, ref := range manifest.References(&b.WithDefaults().Spec) {
		parts.References = append(parts.References, ref.Path())
	}
	if d := disk(b); d != nil {
		parts.ExistingClaim = &d.ExistingClaim
	}
	if b.Spec.HasStandby() {
		parts.LeaseSeconds = ptr.To(b.Spec.LeaseSeconds())
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
// and the default image of the runners with its Secrets.
func (r *revision) of(defaults podDefaults) (string, error) {
	r.once.Do(func() {
		var templates struct {
			One, Two *corev1ac.PodTemplateSpecApplyConfiguration
		}
		if templates.One, r.err = podTemplate(&v1alpha1.MQTTBridge{}, defaults); r.err != nil {
			return
		}
		two := &v1alpha1.MQTTBridge{Spec: v1alpha1.MQTTBridgeSpec{Replicas: ptr.To[int32](2)}}
		if templates.Two, r.err = podTemplate(two, defaults); r.err != nil {
			return
		}
		r.hash, r.err = hashOf(&templates)
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
