// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// maxImage is the largest length of an image in the status, in bytes. It is the limit of the
// schema: the API server would refuse the conditions together with a longer image.
const maxImage = 1024

// ownRunner is the operator's part of an entry of status.runners.
type ownRunner struct {
	Pod   string `json:"pod"`
	Image string `json:"image,omitempty"`
}

// ownRunners returns the operator's part of status.runners. The operator applies it only together
// with the report of a pod, so that it never stays alone.
func (o *observation) ownRunners() (own []ownRunner) {
	if o.reportingPod() == nil {
		return nil
	}
	for i := range o.bridge.Status.Runners {
		r := &o.bridge.Status.Runners[i]
		if pod := o.podNamed(r.Pod); r.Role != "" && pod != nil && imageOf(pod) != "" {
			own = append(own, ownRunner{Pod: r.Pod, Image: imageOf(pod)})
		}
	}
	return own
}

// imageOf returns the image of the runner's container of a pod of the cache.
func imageOf(pod *corev1.Pod) string { return pod.GenerateName }

// keepImage keeps the image of the runner's container in generateName, which needs no memory
// for each pod. The cache does not hold the containers, and the status of a container may name
// another image, or not exist yet when the runner reports.
func keepImage(pod *corev1.Pod) {
	pod.GenerateName = ""
	for i := range pod.Spec.Containers {
		if c := &pod.Spec.Containers[i]; c.Name == runnerName {
			pod.GenerateName = shared(cutImage(c.Image))
		}
	}
}

func cutImage(image string) string {
	if len(image) <= maxImage {
		return image
	}
	return strings.ToValidUTF8(image[:maxImage], "") // ToValidUTF8 removes a character that was cut
}

// removeImage removes the image from the status, and leaves the conditions as they are.
func (r *Reconciler) removeImage(ctx context.Context, b *v1alpha1.MQTTBridge) error {
	conditions := slices.DeleteFunc(slices.Clone(b.Status.Conditions), func(c metav1.Condition) bool { return !slices.Contains(ownConditions, c.Type) })
	return r.writeStatus(ctx, b, &ownStatus{Conditions: conditions, ObservedGeneration: b.Status.ObservedGeneration})
}

// clearSuspended clears the report of a suspended bridge in two steps: first the image, which
// would otherwise stay alone for a moment, then the rest. Each change of the status starts
// another pass.
func (r *Reconciler) clearSuspended(ctx context.Context, b *v1alpha1.MQTTBridge) error {
	if slices.ContainsFunc(b.Status.Runners, func(r v1alpha1.RunnerStatus) bool { return r.Image != "" }) {
		return r.removeImage(ctx, b)
	}
	return r.clearReport(ctx, b)
}
