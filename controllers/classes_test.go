// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrlevent "sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Operators of several classes have roll-outs of their own: a version of one operator that does
// not work must not hold up the other one, and must not count as its first working bridge.
func TestFleet_BridgeOfAnotherClass_DoesNotCount(t *testing.T) {
	f := &fleet{}
	recovering := fleetDeployment(0, "v2", "new")
	recovering.Labels = map[string]string{labelHealthBefore: string(healthReady)}
	f.observe(nil, recovering)
	f.observe(nil, fleetDeployment(1, "v1", "old"))
	h := f.classHandler("")
	bridge := func(class string) *v1alpha1.MQTTBridge {
		b := newBridge("plants", "plant-0")
		b.Spec.ClassName = class
		return b
	}
	for _, step := range []struct {
		name                string
		change              func()
		bridges, recovering int
	}{
		{"a bridge of this class", func() { h.Create(t.Context(), ctrlevent.CreateEvent{Object: bridge("")}, nil) }, 2, 1},
		{"it gets another class", func() {
			h.Update(t.Context(), ctrlevent.UpdateEvent{ObjectOld: bridge(""), ObjectNew: bridge("edge")}, nil)
		}, 1, 0},
		{"its Deployment changes", func() { f.observe(recovering, recovering) }, 1, 0},
		{"it comes back", func() {
			h.Update(t.Context(), ctrlevent.UpdateEvent{ObjectOld: bridge("edge"), ObjectNew: bridge("")}, nil)
		}, 2, 1},
		{"it gets another class again", func() {
			h.Update(t.Context(), ctrlevent.UpdateEvent{ObjectOld: bridge(""), ObjectNew: bridge("edge")}, nil)
		}, 1, 0},
		{"it is deleted", func() {
			h.Delete(t.Context(), ctrlevent.DeleteEvent{Object: bridge("edge")}, nil)
			f.observe(recovering, nil)
		}, 1, 0},
	} {
		step.change()
		if f.sum.bridges != step.bridges || f.sum.recovering != step.recovering {
			t.Errorf("%s: %d bridges, of which %d recover; want %d and %d", step.name, f.sum.bridges, f.sum.recovering, step.bridges, step.recovering)
		}
	}
	if len(f.foreign) != 0 {
		t.Errorf("the fleet still knows %v", f.foreign)
	}
}

func TestSpecChanges_BridgeCreatedAgainDuringALostWatch_IsAChange(t *testing.T) {
	of := func(uid types.UID, generation int64) *v1alpha1.MQTTBridge {
		return &v1alpha1.MQTTBridge{ObjectMeta: metav1.ObjectMeta{UID: uid, Generation: generation}}
	}
	for name, tt := range map[string]struct {
		from, to *v1alpha1.MQTTBridge
		want     bool
	}{
		"another status":  {of("a", 1), of("a", 1), false},
		"another spec":    {of("a", 1), of("a", 2), true},
		"another bridge":  {of("a", 1), of("b", 1), true},
		"both are others": {of("a", 2), of("b", 1), true},
	} {
		if got := specChanges().Update(ctrlevent.UpdateEvent{ObjectOld: tt.from, ObjectNew: tt.to}); got != tt.want {
			t.Errorf("%s: a change: %t; want %t", name, got, tt.want)
		}
	}
}
