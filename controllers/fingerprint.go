// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// fingerprint returns a hash of fields of a child, as ownedFields and wantedFields return them.
// Equal fields and values have the same fingerprint, because JSON sorts maps, and both functions
// use one text for each quantity.
//
// The fingerprint of a Deployment has three parts, because stage combines the parts of the plan
// and of the cache: stagingMark of its annotations and labels, the hash of its pod template,
// and the hash of all other fields. It removes the first two from fields.
func fingerprint(kind string, fields map[string]any) (string, error) {
	if kind != deploymentKind {
		return hashOfJSON(fields)
	}
	staging := removeStaging(fields)
	template := ""
	if spec := part(fields, "spec"); spec["template"] != nil {
		var err error
		if template, err = hashOfJSON(spec["template"]); err != nil {
			return "", err
		}
		delete(spec, "template")
	}
	others, err := hashOfJSON(fields)
	if err != nil {
		return "", err
	}
	return joinFingerprint(staging, template, others), nil
}

// wantedFields returns the fields of a wanted child as ownedFields returns them after the child
// has been applied.
func wantedFields(c child) (map[string]any, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(c)
	if err != nil {
		return nil, fmt.Errorf("converting %T: %w", c, err)
	}
	// They identify the child, and have no owner.
	delete(fields, "apiVersion")
	delete(fields, "kind")
	delete(part(fields, "metadata"), "name")
	delete(part(fields, "metadata"), "namespace")
	return fields, nil
}

// wantedFingerprint returns the fingerprint of a wanted child.
func wantedFingerprint(c child) (string, error) {
	fields, err := wantedFields(c)
	if err != nil {
		return "", err
	}
	return fingerprint(identify(c).kind, fields)
}

// part returns the fields of an object in fields, or nil if there is none. path is the names of
// the objects around it, and its own.
func part(fields map[string]any, path ...string) map[string]any {
	for _, name := range path {
		fields, _ = fields[name].(map[string]any)
	}
	return fields
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
var stagingAnnotations = []string{annotationPodSpecHash, annotationEarlierSpecHash, annotationTemplateHash, annotationRevision, annotationRunners}

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

// removeStaging removes the annotations and the label that stage sets from the fields of a
// Deployment, and returns their stagingMark.
func removeStaging(fields map[string]any) string {
	all, labels := part(fields, "metadata", "annotations"), part(fields, "metadata", "labels")
	annotations := make(map[string]string, len(stagingAnnotations))
	for _, key := range stagingAnnotations {
		annotations[key], _ = all[key].(string)
		delete(all, key)
	}
	if all != nil && len(all) == 0 {
		delete(part(fields, "metadata"), "annotations")
	}
	before, _ := labels[labelHealthBefore].(string)
	delete(labels, labelHealthBefore)
	return stagingMark(annotations, before)
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
		text, err := wantedFingerprint(config)
		if err != nil {
			return "", err
		}
		p.otherManifest = manifestFor{template, text}
	}
	return p.otherManifest.fingerprint, nil
}
