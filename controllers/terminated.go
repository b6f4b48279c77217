// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// termination identifies the end of a runner. Terminations are ordered by the time at which the
// API server created the pod, and within a pod by the clock of its node, because the clocks of
// nodes may differ.
type termination struct {
	PodCreated metav1.Time `json:"podCreated,omitzero"`
	Finished   metav1.Time `json:"finished,omitzero"`
}

func (t termination) after(other termination) bool {
	return cmp.Or(t.PodCreated.Compare(other.PodCreated.Time), t.Finished.Compare(other.Finished.Time)) > 0
}

// announceTermination returns an event for the latest runner that has ended although its pod
// was not deleted, or with an error, if it is later than the announced one.
func announceTermination(o *observation, sent *termination) []event {
	var due []event
	for i := range o.pods {
		pod := &o.pods[i]
		t, text := podTermination(pod)
		if text == "" || !t.after(*sent) {
			continue
		}
		*sent = t
		due = []event{{
			eventType: corev1.EventTypeWarning, reason: v1alpha1.EventRunnerTerminated, action: actionReportRunner,
			note: note("%s", text), related: pod,
		}}
	}
	return due
}

// podTermination returns the latest termination of a pod's runner, and its description, which
// is empty if there is none to announce.
func podTermination(pod *corev1.Pod) (t termination, message string) {
	for i := range pod.Status.ContainerStatuses {
		c := &pod.Status.ContainerStatuses[i]
		if c.Name != runnerName {
			continue
		}
		end := c.State.Terminated
		if end == nil {
			end = c.LastTerminationState.Terminated
		}
		if end == nil || end.ExitCode == 0 && !pod.DeletionTimestamp.IsZero() {
			break // it runs for the first time, or has drained as requested
		}
		t = termination{pod.CreationTimestamp, end.FinishedAt}
		if isEvicted(pod) {
			return t, evictionMessage(pod)
		}
		return t, terminationMessage(pod.Name, c.RestartCount, end)
	}
	if isEvicted(pod) { // the kubelet has ended the pod before the container started
		return termination{PodCreated: pod.CreationTimestamp}, evictionMessage(pod)
	}
	return termination{}, ""
}

// isEvicted reports whether the kubelet or the control plane has ended a pod, for example
// because its node has too little memory or shuts down.
func isEvicted(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodFailed && pod.Status.Reason != ""
}

func evictionMessage(pod *corev1.Pod) string {
	return fmt.Sprintf(msgPodEvicted, pod.Name, pod.Status.Reason, strings.TrimSuffix(strings.TrimSpace(pod.Status.Message), "."))
}

func terminationMessage(pod string, restarts int32, end *corev1.ContainerStateTerminated) string {
	ran := end.FinishedAt.Sub(end.StartedAt.Time)
	return fmt.Sprintf(msgRunnerTerminated, pod, end.FinishedAt.UTC().Format(time.RFC3339), ran, end.ExitCode, cmp.Or(end.Reason, "no reason"), restarts, exitRemedy(end))
}

// exitRemedy returns why a runner has ended, and what to do.
func exitRemedy(end *corev1.ContainerStateTerminated) string {
	const (
		outOfMemory = "OOMKilled"
		badArgument = 2
		killed      = 128 + 9
	)
	switch {
	case end.Reason == outOfMemory:
		return msgExitOutOfMemory
	case end.ExitCode == 0:
		return msgExitStopped
	case end.ExitCode == killed:
		return msgExitKilled
	case end.ExitCode == badArgument && !strings.Contains(end.Message, ".go:"): // a Go program that panics has the same code
		return msgExitArguments
	default:
		return fmt.Sprintf(msgExitFailed, cmp.Or(strings.TrimSpace(end.Message), "it wrote no output"))
	}
}
