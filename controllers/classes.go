// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlevent "sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// specChanges are the changes of a bridge that may change its spec. A bridge that was deleted
// and created again while the watch was interrupted looks like a change of a bridge of the same
// generation.
func specChanges() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e ctrlevent.UpdateEvent) bool {
		return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || e.ObjectOld.GetUID() != e.ObjectNew.GetUID()
	}}
}

// classHandler excludes the bridges of other classes from the fleet, because the operators of
// these classes have roll-outs of their own.
func (f *fleet) classHandler(class string) handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[ctrl.Request]
	update := func(bridge client.Object) {
		if b, ok := bridge.(*v1alpha1.MQTTBridge); ok {
			f.setForeign(client.ObjectKeyFromObject(b), b.Spec.ClassName != class)
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e ctrlevent.CreateEvent, _ queue) { update(e.Object) },
		UpdateFunc: func(_ context.Context, e ctrlevent.UpdateEvent, _ queue) { update(e.ObjectNew) },
		DeleteFunc: func(_ context.Context, e ctrlevent.DeleteEvent, _ queue) {
			f.setForeign(client.ObjectKeyFromObject(e.Object), false)
		},
	}
}

// setForeign records whether a bridge is of another class.
func (f *fleet) setForeign(bridge client.ObjectKey, foreign bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.countLocked(bridge, -1)
	if f.foreign == nil {
		f.foreign = map[client.ObjectKey]bool{}
	}
	delete(f.foreign, bridge)
	if foreign {
		f.foreign[bridge] = true
		delete(f.granted, bridge) // the operator of the other class decides now
	}
	f.countLocked(bridge, 1)
}
