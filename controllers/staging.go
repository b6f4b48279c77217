// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
)

// stagingPrefix marks the packed state of a roll-out in an object of the cache. The selfLink of
// an API server starts with a slash.
const stagingPrefix = "staging "

// packStaging returns the annotations and the label of a Deployment that hold the state of a
// roll-out as one text. The cache holds it in selfLink, which API servers no longer use, because
// two maps need five times as much memory.
func packStaging(d *appsv1.Deployment) string {
	annotations, before := stagingOf(d)
	var text strings.Builder
	text.WriteString(stagingPrefix)
	for _, key := range stagingAnnotations {
		text.WriteString(annotations[key] + " ")
	}
	text.WriteString(string(before))
	return text.String()
}

// stagingOf returns the stagingAnnotations of a Deployment, from the cache or from the API
// server, and the value of labelHealthBefore, which is empty if the label is absent.
func stagingOf(d *appsv1.Deployment) (annotations map[string]string, before health) {
	value := func(i int) string { return d.Annotations[stagingAnnotations[i]] }
	before = health(d.Labels[labelHealthBefore])
	if text, packed := strings.CutPrefix(d.SelfLink, stagingPrefix); packed {
		parts := strings.Split(text, " ")
		value = func(i int) string { return parts[i] }
		before = health(shared(parts[len(stagingAnnotations)]))
	}
	annotations = make(map[string]string, len(stagingAnnotations))
	for i, key := range stagingAnnotations {
		if v := value(i); v != "" {
			annotations[key] = v
		}
	}
	return annotations, before
}
