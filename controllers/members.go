// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlevent "sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// handler keeps the fleet up to date, and starts passes over waiting bridges when a bridge no
// longer recovers. Each recovery frees its own slot and permits one more bridge at the same
// time, so that two bridges are started.
func (f *fleet) handler() handler.EventHandler {
	const started = 2
	type queue = workqueue.TypedRateLimitingInterface[ctrl.Request]
	update := func(from, to client.Object, q queue) {
		f.observe(from, to)
		if from != nil && recovers(from) && (to == nil || !recovers(to)) {
			for _, bridge := range f.takeWaiting(started) {
				q.Add(ctrl.Request{NamespacedName: bridge})
			}
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e ctrlevent.CreateEvent, q queue) { update(nil, e.Object, q) },
		UpdateFunc: func(_ context.Context, e ctrlevent.UpdateEvent, q queue) { update(e.ObjectOld, e.ObjectNew, q) },
		DeleteFunc: func(_ context.Context, e ctrlevent.DeleteEvent, q queue) { update(e.Object, nil, q) },
	}
}

// observe updates the member whose Deployment has changed. from is nil if the Deployment is
// new, and to is nil if it has been deleted.
func (f *fleet) observe(from, to client.Object) {
	d, _ := to.(*appsv1.Deployment)
	old, wasOurs := bridgeOf(from)
	bridge, isOurs := bridgeOf(to)
	if wasOurs && old != bridge { // deleted, or orphaned: the Deployment stays without the bridge
		f.setMember(old, nil)
	}
	if isOurs {
		f.setMember(bridge, memberOf(d))
	}
}

// bridgeOf returns the bridge whose runner a Deployment starts. It returns false if there is
// none, also for a Deployment that a bridge controls and that has another name: it is pruned.
func bridgeOf(deployment client.Object) (client.ObjectKey, bool) {
	if deployment == nil {
		return client.ObjectKey{}, false
	}
	owner := metav1.GetControllerOfNoCopy(deployment)
	if owner == nil || owner.Kind != bridgeKind || deployment.GetName() != childName(owner.Name) {
		return client.ObjectKey{}, false
	}
	return client.ObjectKey{Namespace: deployment.GetNamespace(), Name: owner.Name}, true
}

func recovers(deployment client.Object) bool {
	d, ok := deployment.(*appsv1.Deployment)
	if !ok {
		return false
	}
	_, before := stagingOf(d)
	return before != ""
}

// memberOf returns the member of the fleet that a Deployment describes, or nil if the
// Deployment does not exist, is being deleted or wants no pod.
func memberOf(d *appsv1.Deployment) *member {
	if d == nil || !d.DeletionTimestamp.IsZero() || ptr.Deref(d.Spec.Replicas, 1) == 0 {
		return nil
	}
	annotations, before := stagingOf(d)
	return &member{
		revision:   shared(annotations[annotationRevision]),
		template:   annotations[annotationTemplateHash],
		recovering: before != "",
		available:  available(d),
	}
}

// available reports whether all pods of the Deployment are of its current template and ready. The old
// pods of a roll-out of two runners stay ready until the new ones are.
func available(d *appsv1.Deployment) bool {
	return !rollsOut(d) && d.Status.AvailableReplicas >= max(1, ptr.Deref(d.Spec.Replicas, 1))
}

// healthOf returns the health of a bridge from its Deployment and its condition Ready. Two runners
// forward while one of their pods is missing or is being replaced.
func healthOf(b *v1alpha1.MQTTBridge, d *appsv1.Deployment) health {
	forwards := conditionTrue(b, v1alpha1.ConditionReady)
	switch {
	case available(d) && forwards:
		return healthReady
	case available(d):
		return healthAvailable
	case forwards && b.Spec.HasStandby() && d.Status.AvailableReplicas > 0:
		return healthAlone
	default:
		return healthUnavailable
	}
}
