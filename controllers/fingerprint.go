// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// fingerprint returns a hash of the fields of an apply configuration. Two configurations of
// the same fields and values have the same fingerprint, because JSON has the fields of a
// type in a fixed order, sorts maps, and has one text for each quantity.
//
// The fingerprint of a Deployment has three parts, because stage combines the parts of the plan
// and of the cache: stagingMark of its annotations and labels, the hash of its pod template,
// and the hash of all other fields.
func fingerprint(applied any) (string, error) {
	d, ok := applied.(*appsv1ac.DeploymentApplyConfiguration)
	if !ok {
		return hashOfJSON(applied)
	}
	rest, template := *d, ""
	if d.ObjectMetaApplyConfiguration != nil {
		meta := *d.ObjectMetaApplyConfiguration
		meta.Annotations, meta.Labels = withoutStaging(meta.Annotations), withoutStaging(meta.Labels)
		rest.ObjectMetaApplyConfiguration = &meta
	}
	if d.Spec != nil && d.Spec.Template != nil {
		var err error
		if template, err = hashOfJSON(d.Spec.Template); err != nil {
			return "", err
		}
		spec := *d.Spec
		spec.Template = nil
		rest.Spec = &spec
	}
	others, err := hashOfJSON(&rest)
	if err != nil {
		return "", err
	}
	staging := ""
	if d.ObjectMetaApplyConfiguration != nil {
		staging = stagingMark(d.Annotations, d.Labels[labelHealthBefore])
	}
	return joinFingerprint(staging, template, others), nil
}

func joinFingerprint(staging, template, others string) string {
	return staging + "." + template + "." + others
}

// splitFingerprint returns the hashes of the pod template and of the other fields of a
// Deployment from its fingerprint. An empty hash of the template means that the operator does
// not own the template.
func splitFingerprint(text string) (template, others string) {
	_, rest, _ := strings.Cut(text, ".")
	template, others, _ = strings.Cut(rest, ".")
	return template, others
}

// stagingAnnotations are the annotations of a Deployment that stage sets.
var stagingAnnotations = []string{annotationSpecHash, annotationTemplateHash, annotationRevision}

// stagingMark returns a hash of the annotations and of the label of a Deployment that stage
// sets.
func stagingMark(annotations map[string]string, healthBefore string) string {
	var text strings.Builder
	for _, key := range stagingAnnotations {
		text.WriteString(annotations[key] + " ")
	}
	text.WriteString(healthBefore)
	return hash(text.String())
}

// withoutStaging returns the annotations or labels of a Deployment without those that stage
// sets.
func withoutStaging(all map[string]string) map[string]string {
	out := maps.Clone(all)
	maps.DeleteFunc(out, func(key, _ string) bool {
		return key == labelHealthBefore || slices.Contains(stagingAnnotations, key)
	})
	return out
}

func hashOfJSON(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encoding %T: %w", v, err)
	}
	return hash(string(text)), nil
}

// wantedFingerprint returns the fingerprint of a wanted child. For the Deployment and the
// manifest, which names the pod template, it also depends on the decision of stage.
func (p *plan) wantedFingerprint(b *v1alpha1.MQTTBridge, s *staged, c *plannedChild, deployment *appsv1.Deployment) (string, error) {
	template := s.annotations[annotationTemplateHash]
	switch {
	case c.kind == deploymentKind:
		return s.fingerprint(c.fingerprint, deployment)
	case c.kind != configMapKind || template == p.templateHash:
		return c.fingerprint, nil
	case p.otherManifest.template != template:
		config, err := configMap(b, template)
		if err != nil {
			return "", err
		}
		text, err := fingerprint(config)
		if err != nil {
			return "", err
		}
		p.otherManifest = manifestFor{template, text}
	}
	return p.otherManifest.fingerprint, nil
}
