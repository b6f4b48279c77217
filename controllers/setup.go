// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	ctrlevent "sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// SetupWithManager watches bridges, their children and their pods.
//
// Updates of a bridge are not filtered, because the runner's reports are status changes
// from which conditions are derived. The operator's own status writes also start a pass,
// which finds nothing to write.
//
// A replica that is not the leader also watches, so that it has all objects in its cache
// when it takes the lead.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	resetMetrics()
	if err := mgr.Add(&planner{reconciler: r, elected: mgr.Elected()}); err != nil {
		return fmt.Errorf("setting up the planner: %w", err)
	}
	if err := addIndexes(mgr.GetCache()); err != nil {
		return fmt.Errorf("setting up the MQTTBridge controller: %w", err)
	}
	c := ctrl.NewControllerManagedBy(mgr).
		Named("mqttbridge").
		For(&v1alpha1.MQTTBridge{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(bridgeOfPod)).
		Watches(&appsv1.Deployment{}, r.fleet.handler()).
		Watches(&v1alpha1.MQTTBridge{}, r.fleet.classHandler(r.Class), builder.WithPredicates(specChanges())).
		Watches(&v1alpha1.MQTTBridge{}, r.servers.handler(), builder.WithPredicates(specChanges())).
		Watches(&v1alpha1.MQTTBridge{}, handler.EnqueueRequestsFromMapFunc(r.enqueueSharedClientIDs), builder.WithPredicates(specChanges())).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: concurrentReconciles,
			EnableWarmup:            ptr.To(true),
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](firstRetry, lastRetry),
			// Tests run several operators in one process.
			SkipNameValidation: ptr.To(true),
		})
	for _, kind := range childKinds {
		switch {
		case kind.neverPrune:
			c = c.Watches(kind.object, handler.EnqueueRequestsFromMapFunc(bridgeOfLabels))
		case kind.gvk.Kind == leaseKind:
			c = c.Owns(kind.object, builder.WithPredicates(leaseChanges()))
		default:
			c = c.Owns(kind.object)
		}
	}
	if err := c.Complete(r); err != nil {
		return fmt.Errorf("setting up the MQTTBridge controller: %w", err)
	}
	return nil
}

// bridgeOfPod returns a request for the bridge that a pod belongs to.
func bridgeOfPod(_ context.Context, obj client.Object) []ctrl.Request {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return nil
	}
	namespace, name, ok := strings.Cut(bridgeKeyOf(pod), "/")
	if !ok {
		return nil
	}
	return []ctrl.Request{{NamespacedName: client.ObjectKey{Namespace: namespace, Name: name}}}
}

// bridgeOfLabels returns a request for the bridge that a claim belongs to, according to its
// labels. A retained claim has no owner.
func bridgeOfLabels(_ context.Context, obj client.Object) []ctrl.Request {
	name := obj.GetLabels()[labelInstance]
	if name == "" {
		return nil
	}
	return []ctrl.Request{{NamespacedName: client.ObjectKey{Namespace: obj.GetNamespace(), Name: name}}}
}

// leaseChanges passes changes of a Lease by other clients than its holder, which renews it every few
// seconds.
func leaseChanges() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e ctrlevent.UpdateEvent) bool {
		return appliedFingerprint(e.ObjectOld) != appliedFingerprint(e.ObjectNew) ||
			e.ObjectOld.GetDeletionTimestamp().IsZero() != e.ObjectNew.GetDeletionTimestamp().IsZero()
	}}
}
