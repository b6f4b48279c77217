// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

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

// waitInterval is the interval at which a bridge that waits for a roll-out checks again. A
// bridge that has recovered starts the next ones earlier; the interval covers a bridge that
// was started and no longer needed it.
const waitInterval = time.Minute

// fleet coordinates the passes over the bridges during a roll-out. The state of the roll-out is
// in the annotations and labels of the Deployments. The fleet only adds the facts that the cache does not
// show yet, and the bridges that wait.
//
// Lock order: mu is taken with no other lock held, and the cache is read under it.
type fleet struct {
	mu sync.Mutex // guards the fields below
	// granted holds the template hash of each Deployment that a roll-out may change,
	// until the cache shows the change.
	granted map[client.ObjectKey]string
	states  map[client.ObjectKey]rolloutState
}

// rolloutState is the state of a bridge in a roll-out.
type rolloutState string

const (
	rolloutWaiting    rolloutState = "waiting"
	rolloutRecovering rolloutState = "recovering"
)

// setState records the state of a bridge. An empty state means that the bridge takes no part
// in a roll-out.
func (f *fleet) setState(bridge client.ObjectKey, state rolloutState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.setStateLocked(bridge, state)
}

func (f *fleet) setStateLocked(bridge client.ObjectKey, state rolloutState) {
	old := f.states[bridge]
	if old == state {
		return
	}
	if f.states == nil {
		f.states = map[client.ObjectKey]rolloutState{}
	}
	if old != "" {
		rolloutBridges.WithLabelValues(string(old)).Dec()
		delete(f.states, bridge)
	}
	if state != "" {
		rolloutBridges.WithLabelValues(string(state)).Inc()
		f.states[bridge] = state
	}
}

// retryAfter returns after which time a bridge needs another pass, or 0 if it does not wait.
func (f *fleet) retryAfter(bridge client.ObjectKey) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.states[bridge] == rolloutWaiting {
		return waitInterval
	}
	return 0
}

// release takes back a permission to change a Deployment that has not been changed.
func (f *fleet) release(bridge client.ObjectKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.granted, bridge)
}

// admit reports whether a roll-out may replace the pod of the bridge now. If it may not, the
// bridge waits. A bridge that has not recovered from an earlier roll-out never waits: it has
// nothing to lose, and its recovery lets the others continue.
func (r *Reconciler) admit(ctx context.Context, bridge client.ObjectKey, template, revision string, recovering bool) (bool, error) {
	f := &r.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if !recovering && f.granted[bridge] != template {
		members, err := r.membersLocked(ctx)
		if err != nil {
			return false, err
		}
		if slots(members, revision, r.MaxUnavailable) == 0 {
			f.setStateLocked(bridge, rolloutWaiting)
			return false, nil
		}
	}
	if f.granted == nil {
		f.granted = map[client.ObjectKey]string{}
	}
	f.granted[bridge] = template
	f.setStateLocked(bridge, rolloutRecovering)
	return true, nil
}

// isUnproven reports whether bridges recover with the revision, and none works with it yet.
func (r *Reconciler) isUnproven(ctx context.Context, revision string) (bool, error) {
	r.fleet.mu.Lock()
	defer r.fleet.mu.Unlock()
	members, err := r.membersLocked(ctx)
	return unproven(members, revision), err
}

// membersLocked returns the fleet as the cache and the grants show it. It removes the grants
// that the cache shows.
func (r *Reconciler) membersLocked(ctx context.Context) ([]member, error) {
	deployments := &appsv1.DeploymentList{}
	if err := r.Client.List(ctx, deployments, client.UnsafeDisableDeepCopy); err != nil { // the cache holds only the operator's
		return nil, fmt.Errorf("listing the Deployments: %w", err)
	}
	f := &r.fleet
	granted := make(map[client.ObjectKey]string, len(f.granted))
	members := make([]member, 0, len(deployments.Items))
	for i := range deployments.Items {
		d := &deployments.Items[i]
		owner := metav1.GetControllerOf(d)
		if owner == nil || owner.Kind != bridgeKind || !d.DeletionTimestamp.IsZero() {
			continue
		}
		bridge := client.ObjectKey{Namespace: d.Namespace, Name: owner.Name}
		template, pending := f.granted[bridge]
		pending = pending && template != d.Annotations[annotationTemplateHash]
		if pending {
			granted[bridge] = template
		}
		if ptr.Deref(d.Spec.Replicas, 1) == 0 {
			continue
		}
		members = append(members, member{
			revision:   d.Annotations[annotationRevision],
			recovering: pending || d.Labels[labelHealthBefore] != "",
			available:  available(d),
		})
	}
	f.granted = granted
	return members, nil
}

// available reports whether the Deployment's pod is of its current template and ready.
func available(d *appsv1.Deployment) bool {
	return d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas >= 1 && d.Status.AvailableReplicas >= 1
}

// continueRollout returns a handler that starts passes over waiting bridges when the cache
// shows that a bridge no longer recovers. Each recovery frees its own slot and permits one more
// bridge at the same time, so that two bridges are started.
func (r *Reconciler) continueRollout() handler.EventHandler {
	const started = 2
	enqueue := func(q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
		for _, bridge := range r.fleet.takeWaiting(started) {
			q.Add(ctrl.Request{NamespacedName: bridge})
		}
	}
	return handler.Funcs{
		UpdateFunc: func(_ context.Context, e ctrlevent.UpdateEvent, q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			if e.ObjectOld.GetLabels()[labelHealthBefore] != "" && e.ObjectNew.GetLabels()[labelHealthBefore] == "" {
				enqueue(q)
			}
		},
		DeleteFunc: func(_ context.Context, e ctrlevent.DeleteEvent, q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			if e.Object.GetLabels()[labelHealthBefore] != "" {
				enqueue(q)
			}
		},
	}
}

// takeWaiting returns the first n waiting bridges in the order of their names. They no longer
// count as waiting: their next pass decides again.
func (f *fleet) takeWaiting(n int) []client.ObjectKey {
	f.mu.Lock()
	defer f.mu.Unlock()
	var waiting []client.ObjectKey
	for bridge, state := range f.states {
		if state == rolloutWaiting {
			waiting = append(waiting, bridge)
		}
	}
	slices.SortFunc(waiting, func(a, b client.ObjectKey) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	waiting = waiting[:min(n, len(waiting))]
	for _, bridge := range waiting {
		f.setStateLocked(bridge, "")
	}
	return waiting
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
