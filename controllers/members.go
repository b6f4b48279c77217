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

// observe updates the member whose Deployment has changed. to is nil if it has been deleted.
func (f *fleet) observe(from, to client.Object) {
	d, _ := to.(*appsv1.Deployment)
	known := to
	if known == nil {
		known = from
	}
	owner := metav1.GetControllerOfNoCopy(known)
	if owner == nil || owner.Kind != bridgeKind {
		return
	}
	f.setMember(client.ObjectKey{Namespace: known.GetNamespace(), Name: owner.Name}, memberOf(d))
}

func recovers(deployment client.Object) bool { return deployment.GetLabels()[labelHealthBefore] != "" }

// memberOf returns the member of the fleet that a Deployment describes, or nil if the
// Deployment does not exist, is being deleted or wants no pod.
func memberOf(d *appsv1.Deployment) *member {
	if d == nil || !d.DeletionTimestamp.IsZero() || ptr.Deref(d.Spec.Replicas, 1) == 0 {
		return nil
	}
	return &member{
		revision:   shared(d.Annotations[annotationRevision]),
		template:   d.Annotations[annotationTemplateHash],
		recovering: recovers(d),
		available:  available(d),
	}
}

// available reports whether the Deployment's pod is of its current template and ready.
func available(d *appsv1.Deployment) bool {
	return d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas >= 1 && d.Status.AvailableReplicas >= 1
}

// healthOf returns the health of a bridge from its Deployment and its condition Ready.
func healthOf(b *v1alpha1.MQTTBridge, d *appsv1.Deployment) health {
	switch {
	case !available(d):
		return healthUnavailable
	case conditionTrue(b, v1alpha1.ConditionReady):
		return healthReady
	default:
		return healthAvailable
	}
}
