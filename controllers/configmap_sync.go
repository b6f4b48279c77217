// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// triggerConfigMapSync makes the kubelet deliver changed switch requests to the runner
// immediately, by changing an annotation of the pod. The kubelet synchronizes a pod's
// ConfigMaps when the pod changes, and otherwise only about once a minute. The ConfigMap
// must be written before. wanted is the hash of the requests.
func (r *Reconciler) triggerConfigMapSync(ctx context.Context, o *observation, wanted string) error {
	for i := range o.pods {
		pod := &o.pods[i]
		if pod.Annotations[annotationRequestsHash] == wanted || !pod.DeletionTimestamp.IsZero() || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		change := corev1ac.Pod(pod.Name, pod.Namespace).
			WithUID(pod.UID). // not a pod that has replaced it
			WithAnnotations(map[string]string{annotationRequestsHash: wanted})
		if err := r.Client.Apply(ctx, change, client.FieldOwner(FieldOwner), client.ForceOwnership); err != nil {
			return fmt.Errorf("annotating pod %s: %w", pod.Name, err)
		}
	}
	return nil
}
