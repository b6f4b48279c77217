// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// ClusterID returns the identity of the cluster: the UID of the namespace kube-system, which
// exists in every cluster as long as the cluster does.
func ClusterID(ctx context.Context, reader client.Reader) (string, error) {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := reader.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, namespace); err != nil {
		return "", fmt.Errorf(msgNoClusterID, err)
	}
	return string(namespace.UID), nil
}

// explicitClientIDs returns the client identifiers of a bridge without the defaults, which no
// other bridge has.
func (r *Reconciler) explicitClientIDs(b *v1alpha1.MQTTBridge) []manifest.ClientIDUse {
	defaults := &v1alpha1.MQTTBridge{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: b.Name}}
	defaults.SetDefaultClientIDs(r.ClusterID)
	all := manifest.ClientIDs(defaults)
	return slices.DeleteFunc(manifest.ClientIDs(b), func(u manifest.ClientIDUse) bool {
		return slices.ContainsFunc(all, func(d manifest.ClientIDUse) bool { return d.Field == u.Field && d.ID == u.ID })
	})
}

// sharedClientID is another bridge that uses a client identifier of a bridge with the same
// server.
type sharedClientID struct {
	own, others manifest.ClientIDUse
	bridge      *v1alpha1.MQTTBridge
}

// sharedClientIDs returns the other bridges that have a client identifier and a server in
// common with b. The bridges belong to the cache and must not be changed.
func (r *Reconciler) sharedClientIDs(ctx context.Context, b *v1alpha1.MQTTBridge) ([]sharedClientID, error) {
	own := r.explicitClientIDs(b)
	if len(own) == 0 {
		return nil, nil
	}
	found := map[client.ObjectKey]*v1alpha1.MQTTBridge{}
	for _, key := range manifest.ClientIDKeys(own, b.Namespace) {
		list := &v1alpha1.MQTTBridgeList{}
		if err := r.Client.List(ctx, list, client.MatchingFields{bridgesOfClientID: key}, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("listing the bridges: %w", err)
		}
		for i := range list.Items {
			found[client.ObjectKeyFromObject(&list.Items[i])] = &list.Items[i]
		}
	}
	var out []sharedClientID
	for _, x := range found {
		if x.UID == b.UID || !x.DeletionTimestamp.IsZero() {
			continue
		}
		if own, others, ok := common(own, b.Namespace, manifest.ClientIDs(x), x.Namespace); ok {
			out = append(out, sharedClientID{own, others, x})
		}
	}
	slices.SortFunc(out, func(x, y sharedClientID) int { // a message must not change with each pass
		return cmp.Or(cmp.Compare(x.bridge.Namespace, y.bridge.Namespace), cmp.Compare(x.bridge.Name, y.bridge.Name))
	})
	return out, nil
}

// common returns the first client identifier that two bridges use with the same server.
func common(own []manifest.ClientIDUse, namespace string, others []manifest.ClientIDUse, othersNamespace string) (a, b manifest.ClientIDUse, ok bool) {
	for _, a := range own {
		for _, b := range others {
			if a.ID != b.ID {
				continue
			}
			addresses := manifest.Addresses(b.Side, othersNamespace)
			if slices.ContainsFunc(manifest.Addresses(a.Side, namespace), func(s string) bool { return slices.Contains(addresses, s) }) {
				return a, b, true
			}
		}
	}
	return a, b, false
}

// maxNamedBridges is the largest number of bridges that a message names.
const maxNamedBridges = 3

// findSharedClientIDs describes the client identifiers that b shares with running bridges. It
// returns an empty string if there are none.
func (r *Reconciler) findSharedClientIDs(ctx context.Context, b *v1alpha1.MQTTBridge) (string, error) {
	if isSuspended(b) {
		return "", nil
	}
	shared, err := r.sharedClientIDs(ctx, b)
	if err != nil {
		return "", err
	}
	shared = slices.DeleteFunc(shared, func(s sharedClientID) bool { return isSuspended(s.bridge) })
	var names []string
	for i, s := range shared {
		if i == maxNamedBridges {
			names = append(names, fmt.Sprintf("and %d more", len(shared)-i))
			break
		}
		if s.bridge.Namespace != b.Namespace { // the reader of b may not be permitted to read it
			names = append(names, fmt.Sprintf(msgClientIDUseElsewhere, s.own.Field, s.own.ID))
			continue
		}
		names = append(names, fmt.Sprintf(msgClientIDUse, s.own.Field, s.own.ID, s.others.Field, s.bridge.Namespace, s.bridge.Name))
	}
	return strings.Join(names, ", "), nil
}

// enqueueSharedClientIDs returns requests for the bridges that share a client identifier with
// a changed bridge.
func (r *Reconciler) enqueueSharedClientIDs(ctx context.Context, changed client.Object) []ctrl.Request {
	b, ok := changed.(*v1alpha1.MQTTBridge)
	if !ok {
		return nil
	}
	shared, err := r.sharedClientIDs(ctx, b)
	if err != nil {
		return nil // the cache does not run yet; when it does, each bridge gets its own pass
	}
	requests := make([]ctrl.Request, 0, len(shared))
	for _, s := range shared {
		requests = append(requests, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(s.bridge)})
	}
	return requests
}

// withSharedClientIDs adds shared client identifiers to the condition Degraded. They come
// first, because the bridges end each other's sessions, which can cause the other problems.
func withSharedClientIDs(o *observation, c metav1.Condition) metav1.Condition {
	if o.sharedClientIDs == "" || c.Reason == v1alpha1.ReasonRunnerNotRunning || c.Reason == v1alpha1.ReasonSuspended {
		return c
	}
	message := fmt.Sprintf(msgClientIDShared, o.sharedClientIDs)
	if c.Status == metav1.ConditionTrue {
		message += "; " + c.Message
	}
	c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonClientIDShared, message
	return c
}
