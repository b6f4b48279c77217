// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// observation is the state that the conditions are derived from.
type observation struct {
	bridge *v1alpha1.MQTTBridge
	// deployment is the Deployment of the runner, nil if it does not exist.
	deployment *appsv1.Deployment
	// claim is the claim of the buffer on disk, nil if it does not exist.
	claim *corev1.PersistentVolumeClaim
	// pods are the pods of the bridge.
	pods []corev1.Pod
	// wrote is true if this pass changed a child; deployment and pods may then be older
	// than the change.
	wrote bool
	// stall is why the spec cannot be applied, nil if it can.
	stall *stallError
	// loop describes a loop of messages through this bridge and others. It is empty if
	// there is none.
	loop string
	// sharedClientIDs describes the client identifiers that another bridge uses, too. It is
	// empty if there are none.
	sharedClientIDs string
}

func (o *observation) suspended() bool { return isSuspended(o.bridge) }

// reportingPod returns the pod whose report the status holds, or nil if there is no report
// or the pod is gone.
func (o *observation) reportingPod() *corev1.Pod {
	if o.bridge.Status.Runner == nil {
		return nil
	}
	i := slices.IndexFunc(o.pods, func(p corev1.Pod) bool { return p.Name == o.bridge.Status.Runner.Pod })
	if i < 0 {
		return nil
	}
	return &o.pods[i]
}

// currentPod returns the newest pod that is not being deleted. Messages name it if no pod
// reports.
func (o *observation) currentPod() *corev1.Pod {
	var newest *corev1.Pod
	for i := range o.pods {
		p := &o.pods[i]
		if p.DeletionTimestamp.IsZero() && (newest == nil || newest.CreationTimestamp.Before(&p.CreationTimestamp)) {
			newest = p
		}
	}
	return newest
}

// sides returns the reported states of the sides, or nil if the reporting pod is gone.
func (o *observation) sides() (local, remote *v1alpha1.SideStatus) {
	if o.reportingPod() == nil {
		return nil, nil
	}
	return o.bridge.Status.Local, o.bridge.Status.Remote
}

// backlogs returns the reported states of the buffer on disk, or nil if there is no buffer
// on disk or the reporting pod is gone.
func (o *observation) backlogs() (localToRemote, remoteToLocal *v1alpha1.BacklogStatus) {
	if o.reportingPod() == nil || o.bridge.Status.Buffer == nil {
		return nil, nil
	}
	return o.bridge.Status.Buffer.LocalToRemote, o.bridge.Status.Buffer.RemoteToLocal
}

// podTrouble returns why a pod does not serve, or an empty string if it serves.
func podTrouble(p *corev1.Pod) string {
	switch {
	case !p.DeletionTimestamp.IsZero():
		return fmt.Sprintf(msgPodDeleting, p.Name)
	case p.Status.Phase != corev1.PodRunning:
		return fmt.Sprintf(msgPodNotRunning, p.Name, strings.ToLower(string(p.Status.Phase)))
	case !podReady(p):
		return fmt.Sprintf(msgPodNotReady, p.Name)
	default:
		return ""
	}
}

// reporterTrouble returns why the reporting pod no longer serves, or an empty string if it
// serves. The report itself shows that the runner ran at the time started. The kubelet
// reports the start and the first probe later; until then the pod's status is older than
// the runner's report and is ignored.
func reporterTrouble(p *corev1.Pod, started metav1.Time) string {
	if !p.DeletionTimestamp.IsZero() || !podAlive(*p) {
		return podTrouble(p)
	}
	ready := podCondition(p, corev1.PodReady)
	switch {
	case slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return endedAfter(c.State, started) || endedAfter(c.LastTerminationState, started)
	}):
		return fmt.Sprintf(msgPodNotReady, p.Name)
	case ready == nil, ready.Status == corev1.ConditionTrue, !ready.LastTransitionTime.After(started.Time):
		return ""
	default:
		return fmt.Sprintf(msgPodNotReady, p.Name)
	}
}

func endedAfter(s corev1.ContainerState, t metav1.Time) bool {
	return s.Terminated != nil && s.Terminated.FinishedAt.After(t.Time)
}

// podAlive reports whether a pod's containers may still run. An evicted pod remains in the
// phase Failed.
func podAlive(p corev1.Pod) bool {
	return p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed
}

func podReady(p *corev1.Pod) bool {
	c := podCondition(p, corev1.PodReady)
	return c != nil && c.Status == corev1.ConditionTrue
}

func podCondition(p *corev1.Pod, conditionType corev1.PodConditionType) *corev1.PodCondition {
	i := slices.IndexFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == conditionType })
	if i < 0 {
		return nil
	}
	return &p.Status.Conditions[i]
}

// failingWaits are the reasons of a waiting container that do not resolve without a user.
var failingWaits = []string{
	"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
	"CrashLoopBackOff", "CreateContainerError", "CreateContainerConfigError", "RunContainerError",
}

// podFailure returns why a container does not start, in the kubelet's words or from the
// container's last exit. Pods that are being deleted are ignored. It returns an empty
// string if all containers start.
func podFailure(pods []corev1.Pod) string {
	for i := range pods {
		if !pods[i].DeletionTimestamp.IsZero() {
			continue
		}
		for _, c := range pods[i].Status.ContainerStatuses {
			if w := c.State.Waiting; w != nil && slices.Contains(failingWaits, w.Reason) {
				return fmt.Sprintf(msgPodFailing, c.Name, pods[i].Name, waitMessage(w, c.LastTerminationState.Terminated))
			}
		}
	}
	return ""
}

// waitMessage returns the message for a waiting container. For a container that crashes it
// describes the last exit, because the kubelet's message only states the back-off time.
func waitMessage(w *corev1.ContainerStateWaiting, last *corev1.ContainerStateTerminated) string {
	switch {
	case w.Reason == "CrashLoopBackOff" && last != nil && last.Message != "":
		return w.Reason + ": " + fmt.Sprintf(msgLastExit, last.ExitCode, last.Reason, strings.TrimSpace(last.Message))
	case w.Reason == "CrashLoopBackOff" && last != nil:
		return w.Reason + ": " + fmt.Sprintf(msgLastExitOnly, last.ExitCode, last.Reason)
	case w.Message != "":
		return w.Reason + ": " + w.Message
	default:
		return w.Reason
	}
}
