// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

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
	// stall is why the spec cannot be applied unless a user acts, nil if it can.
	stall *stallError
	// failure is why a child could not be applied in this pass, nil if all were applied. The
	// operator tries again.
	failure error
	// manifest is the ConfigMap with the manifest, nil if it does not exist. Its annotation
	// records the events that were sent.
	manifest *corev1.ConfigMap
	// loop describes a loop of messages through this bridge and others. It is empty if
	// there is none.
	loop string
	// sharedClientIDs describes the client identifiers that another bridge uses, too. It is
	// empty if there are none.
	sharedClientIDs string
	// noStandbySince is when a bridge with two runners was last seen with a warm standby. It is zero
	// if it has one, or wants none.
	noStandbySince time.Time
	// drains is true if the active one of two runners was asked to end more than handOverTime ago, and
	// has not handed over.
	drains bool
	// windowOpens is when the window opens for which the bridge waits in a roll-out. It is zero
	// if the bridge waits for no window.
	windowOpens time.Time
}

// deleting reports whether the bridge is being deleted.
func (o *observation) deleting() bool { return !o.bridge.DeletionTimestamp.IsZero() }

func (o *observation) suspended() bool { return isSuspended(o.bridge) }

// scaledToZero reports whether the Deployment wants no pod.
func (o *observation) scaledToZero() bool {
	return o.deployment == nil || ptr.Deref(o.deployment.Spec.Replicas, 1) == 0
}

// isSuspended reports whether the bridge is to be suspended, and no pod is left.
func (o *observation) isSuspended() bool {
	d := o.deployment
	return o.suspended() && !o.wrote && o.scaledToZero() &&
		(d == nil || d.Status.ObservedGeneration >= d.Generation && d.Status.Replicas == 0) &&
		!slices.ContainsFunc(o.pods, podAlive)
}

// runningGeneration returns the generation that the reporting pod runs, 0 if no pod reports.
func (o *observation) runningGeneration() int64 {
	if o.reportingPod() == nil {
		return 0
	}
	return o.bridge.Status.ActiveRunner().Generation
}

// stopping reports whether the reporting runner has reported that it stops.
func (o *observation) stopping() bool {
	return o.reportingPod() != nil && !o.bridge.Status.ActiveRunner().StopTime.IsZero()
}

// foreign reports whether the Deployment belongs to another object, such as an earlier bridge of this
// name. The pods are then not pods of this bridge, although their labels name it.
func (o *observation) foreign() bool {
	return o.deployment != nil && !metav1.IsControlledBy(o.deployment, o.bridge)
}

// reportingPod returns the pod whose report the status holds, or nil if there is no report, if the
// pod is gone, or if it runs an earlier bridge of this name: the generations of both bridges count
// from 1, so that the generation does not show which one runs.
func (o *observation) reportingPod() *corev1.Pod {
	if o.foreign() {
		return nil
	}
	return o.podNamed(reporterOf(o.bridge))
}

// podNamed returns the pod with a name, or nil if it is gone.
func (o *observation) podNamed(name string) *corev1.Pod {
	i := slices.IndexFunc(o.pods, func(p corev1.Pod) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &o.pods[i]
}

// currentPod returns the newest pod that is not being deleted; or, of two runners, the active one if
// it serves. Messages name it if no pod reports.
func (o *observation) currentPod() *corev1.Pod {
	if o.activeServes() {
		return o.reportingPod()
	}
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
// serves. The report itself shows that the runner ran at its start time. The kubelet reports
// the start and the first probe later; until then the pod's status is older than the
// runner's report and is ignored.
func reporterTrouble(o *observation) string {
	p, started := o.reportingPod(), o.bridge.Status.ActiveRunner().StartTime
	handsOver := !p.DeletionTimestamp.IsZero() && o.warmStandby() != nil && !o.drains // it forwards until then
	if !p.DeletionTimestamp.IsZero() && !handsOver || !podAlive(*p) {
		return podTrouble(p)
	}
	if o.stopping() {
		return fmt.Sprintf(msgPodStopping, p.Name)
	}
	ready := podCondition(p, corev1.PodReady)
	switch {
	case slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.Name == runnerName && endedSince(&c, started)
	}):
		return fmt.Sprintf(msgPodNotReady, p.Name)
	case ready == nil, ready.Status == corev1.ConditionTrue, !ready.LastTransitionTime.After(started.Time):
		return ""
	default:
		return fmt.Sprintf(msgPodNotReady, p.Name)
	}
}

// nodeLost reports whether the node of a pod does not answer, as far as the pod shows it.
// The node controller sets the condition Ready of the pod to False and gives no reason; the
// kubelet always gives one. This remains so while the pod is being deleted.
func nodeLost(p *corev1.Pod) bool {
	if !podAlive(*p) {
		return false
	}
	ready := podCondition(p, corev1.PodReady)
	return p.Status.Reason == reasonNodeLost || ready != nil && ready.Status != corev1.ConditionTrue && ready.Reason == ""
}

// reasonNodeLost is the reason in the status of a pod that the node controller has evicted
// from a lost node.
const reasonNodeLost = "NodeLost"

// endedSince reports whether the runner that started at a time has ended. All times are by the clock of
// the node, in whole seconds. A runner may live for less than a second, for example because a message
// makes it fail. An end in the second of its start is its own end if the kubelet pauses before the next
// start, for up to five minutes, or if the container runs since a later time. Otherwise it is the end
// of the runner before it. The kubelet may note the start of the container a moment after the runner has
// noted its own.
func endedSince(c *corev1.ContainerStatus, started metav1.Time) bool {
	last := c.LastTerminationState.Terminated
	switch {
	case endedAfter(c.State, started), endedAfter(c.LastTerminationState, started):
		return true
	case last == nil || last.FinishedAt.Before(&started):
		return false
	case c.State.Running != nil:
		return c.State.Running.StartedAt.After(started.Add(time.Second))
	default:
		return c.State.Waiting != nil && c.State.Waiting.Reason == crashLoop
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

// imageWaits are the reasons of a waiting container whose image the node does not have.
var imageWaits = []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}

// failingWaits are the reasons of a waiting container that do not resolve without a user.
var failingWaits = append(slices.Clone(imageWaits), crashLoop, "CreateContainerError", "CreateContainerConfigError", "RunContainerError")

// stableTime is the time for which a restarted container must run until it no longer counts
// as failing. The kubelet's back-off for restarts is reset after the same time. A shorter
// time would make the conditions change with each restart.
const stableTime = 10 * time.Minute

// crashes is the number of restarts within stableTime after which a container counts as
// failing while it runs.
const crashes = 2

// podFailure returns why a container does not start, or ends again and again, in the
// kubelet's words or from the container's last exit. Pods that are being deleted are
// ignored. It returns an empty string if all containers run.
func podFailure(pods []corev1.Pod, now time.Time) string {
	for i := range pods {
		pod := &pods[i]
		if !pod.DeletionTimestamp.IsZero() {
			continue
		}
		for _, c := range pod.Status.ContainerStatuses {
			w, last := c.State.Waiting, c.LastTerminationState.Terminated
			if w != nil && slices.Contains(failingWaits, w.Reason) {
				return fmt.Sprintf(msgPodFailing, c.Name, pod.Name, waitMessage(w, last))
			}
			if restarts(&c) && (c.State.Running == nil || untilStable(&c, now) > 0) {
				return fmt.Sprintf(msgPodFailing, c.Name, pod.Name, crashMessage(last))
			}
		}
	}
	return ""
}

// restarts reports whether a container has ended several times, the last time soon after its
// start.
func restarts(c *corev1.ContainerStatus) bool {
	last := c.LastTerminationState.Terminated
	return c.RestartCount >= crashes && last != nil && last.FinishedAt.Sub(last.StartedAt.Time) < stableTime
}

// untilStable returns the time until a running container counts as stable.
func untilStable(c *corev1.ContainerStatus, now time.Time) time.Duration {
	if c.State.Running == nil {
		return 0
	}
	return c.State.Running.StartedAt.Add(stableTime).Sub(now)
}

// crashLoop is the kubelet's reason for a container that ends again and again.
const crashLoop = "CrashLoopBackOff"

// waitMessage returns the message for a waiting container. For a container that crashes it
// describes the last exit, because the kubelet's message only states the back-off time.
func waitMessage(w *corev1.ContainerStateWaiting, last *corev1.ContainerStateTerminated) string {
	if w.Reason == crashLoop && last != nil {
		return crashMessage(last)
	}
	message := w.Reason
	if w.Message != "" {
		message += ": " + w.Message
	}
	if slices.Contains(imageWaits, w.Reason) {
		return fmt.Sprintf(msgImageNotPulled, message)
	}
	return message
}

// crashMessage returns the message for a container that crashes. It is the same while the
// container waits and while it runs again.
func crashMessage(last *corev1.ContainerStateTerminated) string {
	if last.Message == "" {
		return crashLoop + ": " + fmt.Sprintf(msgLastExitOnly, last.ExitCode, last.Reason)
	}
	return crashLoop + ": " + fmt.Sprintf(msgLastExit, last.ExitCode, last.Reason, strings.TrimSpace(last.Message))
}
