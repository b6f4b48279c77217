// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// failureInterval is the shortest interval between two status writes that change only the text
// of a failure. Each write starts a pass. If the text is different in each attempt, because it
// contains a port or the identifier of a request, the operator would otherwise repeat the
// attempt at once, forever.
const failureInterval = 10 * time.Second

// postpones reports whether a status is not written yet, because it only has another text of a
// failure that is repeated. A later attempt writes it.
func (p *plan) postpones(s *ownStatus, current *v1alpha1.MQTTBridgeStatus, now time.Time) bool {
	if now.Sub(p.failureWritten) >= failureInterval {
		return false
	}
	next := ownStatus{withoutCause(s.Conditions), s.ObservedGeneration, s.Runners}
	return next.equals(&v1alpha1.MQTTBridgeStatus{
		Conditions: withoutCause(current.Conditions), ObservedGeneration: current.ObservedGeneration, Runners: current.Runners,
	})
}

// withoutCause returns conditions without the message of Stalled or Reconciling, which Ready
// repeats.
func withoutCause(conditions []metav1.Condition) []metav1.Condition {
	blocked := meta.FindStatusCondition(conditions, v1alpha1.ConditionStalled)
	if blocked == nil {
		blocked = meta.FindStatusCondition(conditions, v1alpha1.ConditionReconciling)
	}
	if blocked == nil || blocked.Message == "" {
		return conditions
	}
	out := slices.Clone(conditions)
	for i := range out {
		out[i].Message = strings.ReplaceAll(out[i].Message, blocked.Message, "")
	}
	return out
}
