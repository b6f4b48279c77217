// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// explainPods returns an error that says why pods are not ready. Helm and a broker that does not answer report the
// end of a timeout only, and the pods are removed before the user can look at them.
func (c *Cluster) explainPods(ctx context.Context, namespace, selector string) error {
	pods, err := c.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return err
	}
	var faults []error
	for i := range pods.Items {
		if pod := &pods.Items[i]; !ready(pod) {
			faults = append(faults, c.explainPod(ctx, pod)...)
		}
	}
	return errors.Join(faults...)
}

func (c *Cluster) explainPod(ctx context.Context, pod *corev1.Pod) (faults []error) {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			faults = append(faults, fmt.Errorf("pod %s has no node: %s", pod.Name, condition.Message))
		}
	}
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		if waiting := status.State.Waiting; waiting != nil {
			faults = append(faults, fmt.Errorf("pod %s with image %s: %s: %s", pod.Name, status.Image, waiting.Reason, waiting.Message))
		}
		if status.RestartCount > 0 {
			faults = append(faults, fmt.Errorf("pod %s with image %s ends; an exec format error means that the image is for another processor than the node (kubectl get nodes -L kubernetes.io/arch); its log: %s",
				pod.Name, status.Image, c.lastLog(ctx, pod)))
		}
	}
	return faults
}

// lastLog returns the end of the log of the previous container of a pod.
func (c *Cluster) lastLog(ctx context.Context, pod *corev1.Pod) string {
	const limit = 5
	log, err := c.Client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Previous: true, TailLines: ptr.To[int64](limit)}).DoRaw(ctx)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(log))
}
