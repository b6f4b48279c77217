// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// announceManifest returns an event if the runner has applied a change of the spec. The status
// is the record, as for announceCause: only the operator writes LocalConnected, whose observed
// generation is the generation that ran when the operator last wrote it. The note does not name
// the generation, because the recorder counts the changes of some minutes in one event. The
// request for another server has an event of its own.
func announceManifest(o *observation) []event {
	before := meta.FindStatusCondition(o.bridge.Status.Conditions, v1alpha1.ConditionLocalConnected)
	generation := o.runningGeneration()
	if before == nil || before.ObservedGeneration >= generation || before.Reason == v1alpha1.ReasonRunnerNotRunning ||
		before.Reason == v1alpha1.ReasonSuspended || o.deleting() {
		return nil
	}
	local, remote := o.sides()
	for _, side := range named(local, remote) {
		if side.status != nil && side.status.RequestedSwitch != nil && side.status.RequestedSwitch.Generation == generation {
			return nil
		}
	}
	return []event{{
		eventType: corev1.EventTypeNormal, reason: v1alpha1.EventManifestApplied, action: actionReportManifest,
		part: "spec", note: note(msgManifestUsed, reporterOf(o.bridge)),
	}}
}
