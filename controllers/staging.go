// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
)

// stagingPrefix marks the packed state of a roll-out.
const stagingPrefix = "staging "

// packStaging returns the annotations and the label of a Deployment that hold the state of a
// roll-out as one text. The cache holds it in selfLink, which API servers no longer use, because
// two maps need five times as much memory. It ignores a selfLink that another client has set.
func packStaging(d *appsv1.Deployment) string {
	var text strings.Builder
	text.WriteString(stagingPrefix)
	for _, key := range stagingAnnotations {
		text.WriteString(d.Annotations[key] + " ")
	}
	text.WriteString(d.Labels[labelHealthBefore])
	return text.String()
}

// stagingOf returns the stagingAnnotations of a Deployment of the cache, and the value of
// labelHealthBefore, which is empty if the label is absent. Of a Deployment that is not packed,
// it reads the annotations and the label.
func stagingOf(d *appsv1.Deployment) (annotations map[string]string, before health) {
	text := d.GetSelfLink()
	if !strings.HasPrefix(text, stagingPrefix) {
		text = packStaging(d)
	}
	values := strings.Split(strings.TrimPrefix(text, stagingPrefix), " ")
	annotations = make(map[string]string, len(stagingAnnotations))
	for i, key := range stagingAnnotations {
		if values[i] != "" {
			annotations[key] = values[i]
		}
	}
	return annotations, health(values[len(stagingAnnotations)])
}
