// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
)

// addresses are the servers of a bridge's sides, as they are reached from its pod.
type addresses struct {
	generation    int64
	local, remote []string
}

// connects reports whether two bridges are between the same servers, in either
// direction.
func (a *addresses) connects(b *addresses) bool {
	common := func(x, y []string) bool {
		return slices.ContainsFunc(x, func(s string) bool { return slices.Contains(y, s) })
	}
	return common(a.local, b.local) && common(a.remote, b.remote) || common(a.local, b.remote) && common(a.remote, b.local)
}

// addressBook holds the addresses of all bridges, by their UIDs: every pass over a bridge
// compares it with all others.
type addressBook struct{ known sync.Map }

func (k *addressBook) of(b *v1alpha1.MQTTBridge) *addresses {
	if x, ok := k.known.Load(b.UID); ok {
		if a, ok := x.(*addresses); ok && a.generation == b.Generation {
			return a
		}
	}
	a := &addresses{b.Generation, config.Addresses(&b.Spec.Local, b.Namespace), config.Addresses(&b.Spec.Remote, b.Namespace)}
	k.known.Store(b.UID, a)
	return a
}

// keep forgets the bridges that are not listed.
func (k *addressBook) keep(bridges []v1alpha1.MQTTBridge) {
	listed := make(map[types.UID]bool, len(bridges))
	for i := range bridges {
		listed[bridges[i].UID] = true
	}
	k.known.Range(func(uid, _ any) bool {
		if id, ok := uid.(types.UID); ok && !listed[id] {
			k.known.Delete(uid)
		}
		return true
	})
}

// beside returns the other bridges between the servers of b. They are those of the cache
// and must not be changed.
func (r *Reconciler) beside(ctx context.Context, b *v1alpha1.MQTTBridge) ([]*v1alpha1.MQTTBridge, error) {
	all := &v1alpha1.MQTTBridgeList{}
	if err := r.Client.List(ctx, all, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the bridges: %w", err)
	}
	r.addresses.keep(all.Items)
	own := r.addresses.of(b)
	var out []*v1alpha1.MQTTBridge
	for i := range all.Items {
		x := &all.Items[i]
		if x.UID != b.UID && x.DeletionTimestamp.IsZero() && own.connects(r.addresses.of(x)) {
			out = append(out, x)
		}
	}
	return out, nil
}

// loop names the way by which messages go round through this bridge and others between
// the same servers. It is empty if there is none.
func (r *Reconciler) loop(ctx context.Context, b *v1alpha1.MQTTBridge) (string, error) {
	others, err := r.beside(ctx, b)
	if err != nil {
		return "", err
	}
	others = slices.DeleteFunc(others, func(x *v1alpha1.MQTTBridge) bool { return ptr.Deref(x.Spec.Suspend, false) })
	if len(others) == 0 || ptr.Deref(b.Spec.Suspend, false) {
		return "", nil
	}
	if l := config.LoopThrough(b, others); l != nil {
		return l.String(), nil
	}
	return "", nil
}

// besideChanged are the bridges whose loops a change of one may make or end.
func (r *Reconciler) besideChanged(ctx context.Context, changed client.Object) []ctrl.Request {
	b, ok := changed.(*v1alpha1.MQTTBridge)
	if !ok {
		return nil
	}
	others, err := r.beside(ctx, b)
	if err != nil {
		return nil // the cache does not run yet; then each bridge gets a pass of its own
	}
	requests := make([]ctrl.Request, 0, len(others))
	for _, x := range others {
		requests = append(requests, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(x)})
	}
	return requests
}

// withLoop adds to Degraded that messages go round, if they do.
func withLoop(o *observation, c metav1.Condition) metav1.Condition {
	message := fmt.Sprintf(msgLoop, o.loop)
	switch {
	case o.loop == "" || c.Status == metav1.ConditionUnknown:
	case c.Status == metav1.ConditionTrue:
		c.Message += "; " + message
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonMessageLoop, message
	}
	return c
}
