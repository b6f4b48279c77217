// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// triggerConfigMapSync makes the kubelet deliver a changed manifest to the runner
// immediately, by changing annotations of the pod: if the switch requests have changed, or if
// the pod can take over a generation. The kubelet synchronizes a pod's ConfigMaps when the
// pod changes, and otherwise only about once a minute. The ConfigMap must be written before.
func (r *Reconciler) triggerConfigMapSync(ctx context.Context, o *observation) error {
	requests, err := requestsHash(o.bridge)
	if err != nil {
		return err
	}
	spec, err := specHash(o.bridge)
	if err != nil {
		return err
	}
	for i := range o.pods {
		pod := &o.pods[i]
		if !pod.DeletionTimestamp.IsZero() || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		wanted := map[string]string{}
		if pod.Annotations[annotationRequestsHash] != requests {
			wanted[annotationRequestsHash] = requests
		}
		generation := strconv.FormatInt(o.bridge.Generation, 10)
		if takesOver(o, pod, spec) && pod.Annotations[annotationGeneration] != generation {
			wanted[annotationGeneration] = generation
		}
		if len(wanted) == 0 {
			continue
		}
		if err := r.annotate(ctx, pod, wanted); err != nil {
			return err
		}
	}
	return nil
}

// takesOver reports whether the pod reports, runs the spec with this hash, and reports another
// generation than the latest one.
func takesOver(o *observation, pod *corev1.Pod, spec string) bool {
	return o.failure == nil && o.reportingPod() == pod && o.runningGeneration() != o.bridge.Generation &&
		pod.Annotations[annotationManifestHash] == spec
}

// annotate sets the annotations of a pod by which the operator triggers a synchronization.
func (r *Reconciler) annotate(ctx context.Context, pod *corev1.Pod, annotations map[string]string) error {
	all := maps.Clone(annotations)
	for _, key := range []string{annotationRequestsHash, annotationGeneration} {
		if _, changed := all[key]; !changed && pod.Annotations[key] != "" {
			all[key] = pod.Annotations[key] // an apply without it would remove it
		}
	}
	change := corev1ac.Pod(pod.Name, pod.Namespace).
		WithUID(pod.UID). // not a pod that has replaced it
		WithAnnotations(all)
	if err := r.Client.Apply(ctx, change, client.FieldOwner(FieldOwner), client.ForceOwnership); err != nil {
		return fmt.Errorf("annotating pod %s: %w", pod.Name, err)
	}
	return nil
}
