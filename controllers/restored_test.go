// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"maps"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// toldBy returns the conditions by type, without their times.
func toldBy(b *v1alpha1.MQTTBridge) map[string]metav1.Condition {
	out := map[string]metav1.Condition{}
	for _, c := range b.Status.Conditions {
		c.LastTransitionTime = metav1.Time{}
		out[c.Type] = c
	}
	return out
}

func TestStatus_UpdatedByAnotherClient_IsRestored(t *testing.T) {
	foreign := metav1.Condition{Type: "example.com/Checked", Status: metav1.ConditionTrue, Reason: "Checked", LastTransitionTime: metav1.Now()}
	for name, tt := range map[string]struct {
		change func(*v1alpha1.MQTTBridgeStatus)
		// kept is a condition of the client that stays.
		kept *metav1.Condition
	}{
		"a changed condition": {change: func(s *v1alpha1.MQTTBridgeStatus) {
			ready := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady)
			ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "Edited", "edited"
		}},
		"a changed message":  {change: func(s *v1alpha1.MQTTBridgeStatus) { s.Conditions[0].Message = "edited" }},
		"removed conditions": {change: func(s *v1alpha1.MQTTBridgeStatus) { s.Conditions = nil }},
		"an untrue condition": {change: func(s *v1alpha1.MQTTBridgeStatus) {
			meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: "Edited"})
		}},
		"a condition of the client": {
			change: func(s *v1alpha1.MQTTBridgeStatus) { s.Conditions = append(s.Conditions, foreign) },
			kept:   &foreign,
		},
		"another generation": {change: func(s *v1alpha1.MQTTBridgeStatus) { s.ObservedGeneration += 7 }},
		"another image":      {change: func(s *v1alpha1.MQTTBridgeStatus) { s.Runners[0].Image = "edited" }},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := forwardingBridge(t)
			awaitIdle(t, b)
			read := func() *v1alpha1.MQTTBridge {
				out := &v1alpha1.MQTTBridge{}
				if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(b), out); err != nil {
					t.Fatal(err)
				}
				return out
			}
			before := read()
			edited := before.DeepCopy()
			tt.change(&edited.Status)
			if err := server.Client.Status().Update(t.Context(), edited, client.FieldOwner("kubectl-edit")); err != nil {
				t.Fatal(err)
			}
			want := toldBy(before)
			if tt.kept != nil {
				kept := *tt.kept
				kept.LastTransitionTime = metav1.Time{}
				want[kept.Type] = kept
			}
			awaitBridge(t, b, "the status that is true", func(b *v1alpha1.MQTTBridge) bool {
				return maps.Equal(toldBy(b), want) && b.Status.ObservedGeneration == before.Status.ObservedGeneration &&
					ptr.Deref(b.Status.ActiveRunner(), v1alpha1.RunnerStatus{}).Image == before.Status.ActiveRunner().Image
			})
			awaitIdle(t, b)
		})
	}
}
