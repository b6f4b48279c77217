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
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// addresses are the addresses of the servers of both sides, as the bridge's pod reaches
// them.
type addresses struct {
	generation    int64
	local, remote []string
}

// connects reports whether two bridges connect the same servers, in either direction.
func (a *addresses) connects(b *addresses) bool {
	common := func(x, y []string) bool {
		return slices.ContainsFunc(x, func(s string) bool { return slices.Contains(y, s) })
	}
	return common(a.local, b.local) && common(a.remote, b.remote) || common(a.local, b.remote) && common(a.remote, b.local)
}

// addressBook caches the addresses of all bridges by UID, because every pass over a bridge
// compares it with all others.
type addressBook struct{ byUID sync.Map }

// lookup returns the addresses of the bridge, and computes them if its spec has changed.
func (k *addressBook) lookup(b *v1alpha1.MQTTBridge) *addresses {
	if x, ok := k.byUID.Load(b.UID); ok {
		if a, ok := x.(*addresses); ok && a.generation == b.Generation {
			return a
		}
	}
	a := &addresses{b.Generation, manifest.Addresses(&b.Spec.Local, b.Namespace), manifest.Addresses(&b.Spec.Remote, b.Namespace)}
	k.byUID.Store(b.UID, a)
	return a
}

// retain removes the bridges that are not listed.
func (k *addressBook) retain(bridges []v1alpha1.MQTTBridge) {
	listed := make(map[types.UID]bool, len(bridges))
	for i := range bridges {
		listed[bridges[i].UID] = true
	}
	k.byUID.Range(func(uid, _ any) bool {
		if id, ok := uid.(types.UID); ok && !listed[id] {
			k.byUID.Delete(uid)
		}
		return true
	})
}

// sharingServers returns the other bridges that connect the same servers as b. The objects
// belong to the cache and must not be changed.
func (r *Reconciler) sharingServers(ctx context.Context, b *v1alpha1.MQTTBridge) ([]*v1alpha1.MQTTBridge, error) {
	all := &v1alpha1.MQTTBridgeList{}
	if err := r.Client.List(ctx, all, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the bridges: %w", err)
	}
	r.addresses.retain(all.Items)
	own := r.addresses.lookup(b)
	var out []*v1alpha1.MQTTBridge
	for i := range all.Items {
		x := &all.Items[i]
		if x.UID != b.UID && x.DeletionTimestamp.IsZero() && own.connects(r.addresses.lookup(x)) {
			out = append(out, x)
		}
	}
	return out, nil
}

// findLoop describes a loop of messages through this bridge and others that connect the
// same servers. It returns an empty string if there is none.
func (r *Reconciler) findLoop(ctx context.Context, b *v1alpha1.MQTTBridge) (string, error) {
	others, err := r.sharingServers(ctx, b)
	if err != nil {
		return "", err
	}
	others = slices.DeleteFunc(others, func(x *v1alpha1.MQTTBridge) bool { return ptr.Deref(x.Spec.Suspend, false) })
	if len(others) == 0 || ptr.Deref(b.Spec.Suspend, false) {
		return "", nil
	}
	if l := manifest.FindLoopThrough(b, others); l != nil {
		return l.String(), nil
	}
	return "", nil
}

// enqueueSharingServers returns requests for the bridges that connect the same servers as a
// changed bridge, because the change may start or end a loop through them.
func (r *Reconciler) enqueueSharingServers(ctx context.Context, changed client.Object) []ctrl.Request {
	b, ok := changed.(*v1alpha1.MQTTBridge)
	if !ok {
		return nil
	}
	others, err := r.sharingServers(ctx, b)
	if err != nil {
		return nil // the cache does not run yet; when it does, each bridge gets its own pass
	}
	requests := make([]ctrl.Request, 0, len(others))
	for _, x := range others {
		requests = append(requests, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(x)})
	}
	return requests
}

// withLoop adds a loop of messages, if there is one, to the condition Degraded.
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
