// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// unschedulableTime is the time for which the scheduler has found no node for a pod until
// the bridge is stalled. In a shorter time, a cluster may add a node.
const unschedulableTime = 5 * time.Minute

// stalled returns the condition Stalled, or nil if no user has to act.
func stalled(o *observation, now time.Time) *metav1.Condition {
	condition := func(reason, message string) *metav1.Condition {
		return &metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: reason, Message: message}
	}
	if o.stall != nil {
		return condition(o.stall.reason, o.stall.Error())
	}
	if o.suspended() || o.wrote || o.failure != nil {
		return nil
	}
	// While the active one of two runners serves, the problems of other pods only concern its standby,
	// and Degraded reports them.
	if o.activeServes() {
		if refusal := manifestRefusal(o); refusal != "" {
			return condition(v1alpha1.ReasonManifestRefused, refusal)
		}
		return nil
	}
	return stalledPods(o, now, condition)
}

// stalledPods returns the condition Stalled for a problem of the pods, or nil if there is none.
func stalledPods(o *observation, now time.Time, condition func(reason, message string) *metav1.Condition) *metav1.Condition {
	if failure := podFailure(o.pods, now); failure != "" {
		return condition(v1alpha1.ReasonPodFailing, failure)
	}
	if pod := o.currentPod(); pod != nil {
		if c := stalledSchedule(o, pod, now, condition); c != nil {
			return c
		}
	}
	if refusal := manifestRefusal(o); refusal != "" {
		return condition(v1alpha1.ReasonManifestRefused, refusal)
	}
	if refusal := podsRefused(o.deployment); refusal != "" {
		return condition(v1alpha1.ReasonApplyFailed, refusal)
	}
	if trouble := progressFailure(o.deployment); trouble != "" {
		return condition(v1alpha1.ReasonRolloutTimedOut, fmt.Sprintf(msgRolloutTimedOut, o.deployment.Name, trouble))
	}
	return nil
}

// stalledSchedule returns the condition Stalled for a pod that the scheduler cannot place
// unless a user acts.
func stalledSchedule(o *observation, pod *corev1.Pod, now time.Time, condition func(reason, message string) *metav1.Condition) *metav1.Condition {
	trouble := unscheduled(o, pod)
	if trouble == "" {
		return nil
	}
	if _, stuck := claimTrouble(o); stuck {
		return condition(v1alpha1.ReasonVolumeMissing, trouble)
	}
	if untilUnschedulable(pod, now) <= 0 {
		return condition(v1alpha1.ReasonUnschedulable, trouble)
	}
	return nil
}

// manifestRefusal returns why the runner cannot apply the latest generation, or an empty string
// if it has not refused it. The refusal of a pod that is being replaced is ignored: the manifest
// is for the next pod, which has other volumes, for example.
func manifestRefusal(o *observation) string {
	pod := o.reportingPod()
	if pod == nil || pod != o.currentPod() || rollsOut(o.deployment) {
		return ""
	}
	runner := o.bridge.Status.ActiveRunner()
	if runner.Refused == nil || runner.Refused.Generation != o.bridge.Generation {
		return ""
	}
	return fmt.Sprintf(msgManifestRefused, pod.Name, runner.Refused.Generation, runner.Generation, runner.Refused.Message)
}

// untilUnschedulable returns the time until a pod without a node stalls its bridge.
func untilUnschedulable(pod *corev1.Pod, now time.Time) time.Duration {
	return podCondition(pod, corev1.PodScheduled).LastTransitionTime.Add(unschedulableTime).Sub(now)
}

// podsRefused returns why the API server refuses the pods of a Deployment, for example
// because of a quota or Pod Security, and the remedy if a field of the bridge is the cause.
func podsRefused(d *appsv1.Deployment) string {
	refusal := deploymentProblem(d, appsv1.DeploymentReplicaFailure, corev1.ConditionTrue)
	if refusal == "" {
		return ""
	}
	message := fmt.Sprintf(msgPodsRefused, d.Name, refusal)
	for _, known := range refusals {
		if strings.Contains(refusal, known.text) {
			return message + "; " + known.remedy
		}
	}
	return message
}

// refusals are parts of messages of the admission plugins of Kubernetes, and the remedies.
var refusals = []struct{ text, remedy string }{
	{"error looking up service account", "create it, or change spec.runner.serviceAccountName"},
	{"no PriorityClass with name", "create it, or change spec.runner.priorityClassName"},
	{"exceeded quota", "raise the quota, or lower spec.runner.resources"},
	{"must specify", "set it in spec.runner.resources"},
	{"usage per Container", "change spec.runner.resources, or the LimitRange of the namespace"},
	{"usage per Pod", "change spec.runner.resources, or the LimitRange of the namespace"},
}

// progressFailure returns why a Deployment has made no progress for a long time.
func progressFailure(d *appsv1.Deployment) string {
	return deploymentProblem(d, appsv1.DeploymentProgressing, corev1.ConditionFalse)
}

// deploymentProblem returns the message of a condition of a Deployment that has the given
// status, or an empty string. A condition of an earlier generation of the Deployment is
// ignored.
func deploymentProblem(d *appsv1.Deployment, conditionType appsv1.DeploymentConditionType, status corev1.ConditionStatus) string {
	if d == nil || d.Status.ObservedGeneration < d.Generation {
		return ""
	}
	for _, c := range d.Status.Conditions {
		if c.Type == conditionType && c.Status == status {
			return c.Message
		}
	}
	return ""
}

// reconciling returns the condition Reconciling, or nil if the children match the spec and
// the reporting pod runs the latest generation.
func reconciling(o *observation, now time.Time) *metav1.Condition {
	c := &metav1.Condition{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonProgressing}
	switch {
	case o.failure != nil && waits(o.failure):
		c.Message = o.failure.Error()
		return c
	case o.failure != nil:
		c.Reason, c.Message = v1alpha1.ReasonApplyFailed, fmt.Sprintf(msgRetried, o.failure)
		return c
	}
	if c.Message = progress(o, now); c.Message == "" {
		return nil
	}
	return c
}

// progress returns the step that the bridge waits for, or an empty string if it waits for
// none.
func progress(o *observation, now time.Time) string {
	pod := o.currentPod()
	switch d := o.deployment; {
	case o.wrote && (o.suspended() || !rollsOut(d)):
		return msgApplied
	case o.isSuspended():
		return ""
	case o.suspended() && o.scaledToZero():
		return msgDraining
	case o.suspended(), rollsOut(d), pod == nil:
		return fmt.Sprintf(msgRollingOut, childName(o.bridge.Name))
	case reporterOf(o.bridge) != pod.Name:
		return noReportMessage(o, now)
	case podTrouble(pod) != "":
		return podTrouble(pod)
	case expanding(o) != "":
		return expanding(o)
	case o.runningGeneration() != o.bridge.Generation:
		return fmt.Sprintf(msgOtherGeneration, pod.Name, o.runningGeneration(), o.bridge.Generation, childName(o.bridge.Name))
	default:
		return ""
	}
}

// rollsOut reports whether a Deployment has no pod of its latest template yet, or still has a pod of
// an earlier one, as it has while it replaces two runners one by one.
func rollsOut(d *appsv1.Deployment) bool {
	return d == nil || d.Status.ObservedGeneration < d.Generation || d.Status.UpdatedReplicas < 1 ||
		d.Status.Replicas > d.Status.UpdatedReplicas
}

// unscheduled returns why the scheduler finds no node for a pod, or an empty string if the
// pod is scheduled.
func unscheduled(o *observation, p *corev1.Pod) string {
	c := podCondition(p, corev1.PodScheduled)
	if c == nil || c.Status != corev1.ConditionFalse {
		return ""
	}
	message := fmt.Sprintf(msgUnscheduled, p.Name, c.Message)
	if cause, _ := claimTrouble(o); cause != "" {
		return cause + "; " + message
	}
	return message
}

// untilChange returns the time after which the conditions change although nothing else has
// changed; 0 if they do not.
func untilChange(o *observation, now time.Time) time.Duration {
	var wait time.Duration
	earliest := func(d time.Duration) {
		if d > 0 && (wait == 0 || d < wait) {
			wait = d
		}
	}
	if pod := o.currentPod(); pod != nil && unscheduled(o, pod) != "" {
		earliest(untilUnschedulable(pod, now))
	}
	for i := range o.pods {
		for _, c := range o.pods[i].Status.ContainerStatuses {
			if restarts(&c) {
				earliest(untilStable(&c, now))
			}
		}
	}
	if !o.noStandbySince.IsZero() {
		earliest(o.noStandbySince.Add(noStandbyTime).Sub(now))
	}
	if p := o.reportingPod(); p != nil && !p.DeletionTimestamp.IsZero() && o.warmStandby() != nil {
		earliest(handOverTime - deletedFor(p, now))
	}
	return wait
}
