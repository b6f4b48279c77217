// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// ready returns the condition Ready; or, if the bridge is suspended and no pod is left, the
// condition Suspended. blocked is the condition Stalled or Reconciling, nil if there is none.
//
// Ready describes the generation that runs, and its observedGeneration is this generation.
// A tool that compares observedGeneration therefore does not treat an earlier generation as
// the latest one. The message says why the latest generation does not run.
func ready(o *observation, blocked *metav1.Condition, now time.Time) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRunnerNotRunning}
	pod := o.reportingPod()
	switch {
	case o.deleting():
		c = deleting(o, now)
	case o.isSuspended():
		c = metav1.Condition{
			Type: v1alpha1.ConditionSuspended, Status: metav1.ConditionTrue,
			Reason: v1alpha1.ReasonSuspended, Message: msgSuspended,
		}
	case pod != nil && nodeLost(pod):
		c.Status, c.Reason, c.ObservedGeneration = metav1.ConditionUnknown, v1alpha1.ReasonNodeLost, o.runningGeneration()
		c.Message = fmt.Sprintf(msgNodeLost, pod.Name)
	case o.suspended() && o.scaledToZero():
		c.Reason, c.Message = v1alpha1.ReasonDraining, msgDraining
	case pod == nil:
		c.Message = noReportMessage(o, now)
	case reporterTrouble(o) != "":
		c.Message, c.ObservedGeneration = reporterTrouble(o), o.runningGeneration()
	default:
		status := &o.bridge.Status
		c = v1alpha1.ReadyCondition(status.ActiveRunner(), status.Local, status.Remote)
	}
	c.Message = withBlocked(o, c.Message, blocked)
	return c
}

// withBlocked adds to the message of Ready why the latest generation does not run, or which
// problem a user must solve.
func withBlocked(o *observation, message string, blocked *metav1.Condition) string {
	behind := o.runningGeneration() != 0 && o.runningGeneration() != o.bridge.Generation && !o.suspended()
	switch {
	case blocked == nil:
		return message
	case blocked.Type == v1alpha1.ConditionReconciling && blocked.Reason == v1alpha1.ReasonProgressing:
		if behind {
			return message + "; " + fmt.Sprintf(msgGenerationApplied, o.bridge.Generation)
		}
		return message
	case behind:
		return message + "; " + fmt.Sprintf(msgGenerationBlocked, o.bridge.Generation, blocked.Reason, blocked.Message)
	case strings.Contains(message, blocked.Message):
		return message
	default:
		return message + "; " + blocked.Reason + ": " + blocked.Message
	}
}

// noReportMessage returns why no runner reports.
func noReportMessage(o *observation, now time.Time) string {
	if o.foreign() {
		return fmt.Sprintf(msgForeignPods, childName(o.bridge.Name))
	}
	pod := o.currentPod()
	if pod == nil {
		return cmp.Or(podsRefused(o.deployment), fmt.Sprintf(msgNoPod, childName(o.bridge.Name)))
	}
	return cmp.Or(unscheduled(o, pod), podFailure(o.pods, now), podTrouble(pod), fmt.Sprintf(msgPodNoReport, pod.Name))
}
