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
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// observation is all that the conditions are derived from.
type observation struct {
	bridge *v1alpha1.MQTTBridge
	// deployment is the runner's, nil where none exists.
	deployment *appsv1.Deployment
	// claim is that of the buffer on disk, nil where none exists.
	claim *corev1.PersistentVolumeClaim
	// pods are those of the bridge.
	pods []corev1.Pod
	// wrote is set when this pass changed a child, so that deployment and pods are
	// those of before.
	wrote bool
	// stall is why the spec cannot be brought about, nil where it can.
	stall *stallError
	// loop is the way by which messages go round through this bridge and others, empty
	// if there is none.
	loop string
}

func (o *observation) suspended() bool { return ptr.Deref(o.bridge.Spec.Suspend, false) }

// reportingPod is the pod whose report the status holds, nil where there is no
// report or the pod is gone.
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

// currentPod is the pod to talk of where none reports: the newest that stays.
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

// sides are the reported states, nil where no pod stands behind them.
func (o *observation) sides() (local, remote *v1alpha1.SideStatus) {
	if o.reportingPod() == nil {
		return nil, nil
	}
	return o.bridge.Status.Local, o.bridge.Status.Remote
}

// backlogs are the reported states of the buffer on disk, nil where there is none or
// no pod stands behind them.
func (o *observation) backlogs() (forwards, subscriptions *v1alpha1.BacklogStatus) {
	if o.reportingPod() == nil || o.bridge.Status.Buffer == nil {
		return nil, nil
	}
	return o.bridge.Status.Buffer.LocalToRemote, o.bridge.Status.Buffer.RemoteToLocal
}

// podTrouble says why a pod does not serve, and is empty where it does.
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

// reporterTrouble says what has become of the reporting pod since its runner
// started, and is empty where it serves. The report itself shows that the process
// ran then. The kubelet tells of a start and of the first probe later, and until it
// does the pod's status is older than the report.
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

// podAlive tells whether a pod's containers may still run. One that was evicted is
// kept as failed.
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

// failingWaits are the reasons for which the kubelet keeps a container waiting that
// will not resolve by themselves.
var failingWaits = []string{
	"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
	"CrashLoopBackOff", "CreateContainerError", "CreateContainerConfigError", "RunContainerError",
}

// podFailure says why a container of a pod that stays does not start, in the words
// of the kubelet or of the container's last exit. It is empty where all do.
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

// waitMessage prefers how the container last ended to the kubelet's message, which
// only tells for how long it backs off.
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
