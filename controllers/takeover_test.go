// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// The deleted pod drains and does not hand over. Nothing but the time changes.
func TestTwoRunners_ActivePodDrainsForLong_IsNotReadyAfterTwoSeconds(t *testing.T) {
	b := twoRunners(namespace(t))
	create(t, b)
	active := runnerPod(b, testPod)
	active.Spec.NodeName, active.Spec.TerminationGracePeriodSeconds = "node-1", ptr.To[int64](drainSeconds)
	createPod(t, active)
	createPod(t, runnerPod(b, standbyPod))
	completeRollout(t, b)
	reportPair(t, b, testPod, standbyPod, true, nil)
	awaitCondition(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonForwarding)
	begin := time.Now()
	if err := server.Client.Delete(t.Context(), active); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, b, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRunnerNotRunning)
	// The API server cuts the fractions of a second of the time of the deletion.
	if took := time.Since(begin); took < handOverTime-time.Second || took > handOverTime+2*time.Second {
		t.Errorf("Ready was True for %s after the deletion, want at most %s", took, handOverTime)
	}
	reportPair(t, b, standbyPod, testPod, false, nil)
	awaitCondition(t, b, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonForwarding)
}
