// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// identity identifies a child among the children of a bridge.
type identity struct{ kind, name string }

// liveChild is a child that exists.
type liveChild struct {
	kind   childKind
	object client.Object
}

// liveChildren returns the cached objects that the bridge controls, and its retained claim.
// They belong to the cache and must not be changed.
func (r *Reconciler) liveChildren(ctx context.Context, b *v1alpha1.MQTTBridge) (map[identity]liveChild, error) {
	out := make(map[identity]liveChild, len(childKinds))
	key := client.ObjectKey{Namespace: b.Namespace, Name: childName(b.Name)}
	for _, kind := range childKinds {
		obj := kind.newObject()
		err := r.Client.Get(ctx, key, obj, client.UnsafeDisableDeepCopy)
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("reading %s %s: %w", kind.gvk.Kind, key.Name, err)
		}
		if err == nil && (metav1.IsControlledBy(obj, b) || kind.neverPrune && retained(b, obj)) {
			out[identity{kind.gvk.Kind, key.Name}] = liveChild{kind, obj}
		}
		strays := kind.newList()
		if err := r.Client.List(ctx, strays, client.InNamespace(b.Namespace), client.MatchingFields{straysOfOwner: string(b.UID)}, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("listing %s children: %w", kind.gvk.Kind, err)
		}
		err = meta.EachListItem(strays, func(item runtime.Object) error {
			if obj, ok := item.(client.Object); ok {
				out[identity{kind.gvk.Kind, obj.GetName()}] = liveChild{kind, obj}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("listing %s children: %w", kind.gvk.Kind, err)
		}
	}
	return out, nil
}

// pruneChildren deletes the given children, except for kinds that are never pruned. It
// reports whether it deleted any.
func (r *Reconciler) pruneChildren(ctx context.Context, unwanted map[identity]liveChild) (pruned bool, err error) {
	for id, c := range unwanted {
		if c.kind.neverPrune || !c.object.GetDeletionTimestamp().IsZero() {
			continue
		}
		if err := r.prune(ctx, c.object); err != nil {
			return pruned, fmt.Errorf("deleting %s %s: %w", id.kind, id.name, err)
		}
		pruned = true
	}
	return pruned, nil
}

// prune deletes a child, unless it has been replaced since it was read.
func (r *Reconciler) prune(ctx context.Context, obj client.Object) error {
	err := r.Client.Delete(ctx, obj,
		client.Preconditions{UID: ptr.To(obj.GetUID())},
		client.PropagationPolicy(metav1.DeletePropagationBackground))
	return client.IgnoreNotFound(err)
}

// checkOwnership returns the UID of the object with a child's name, which is empty if there is no
// such object. It returns an error if the bridge does not control the object, and the object is
// not its retained claim. It reads from the API server, because the cache holds only objects with
// the operator's labels.
func (r *Reconciler) checkOwnership(ctx context.Context, b *v1alpha1.MQTTBridge, id identity) (types.UID, error) {
	found := &metav1.PartialObjectMetadata{}
	for _, kind := range childKinds {
		if kind.gvk.Kind == id.kind {
			found.SetGroupVersionKind(kind.gvk)
		}
	}
	err := r.APIReader.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: id.name}, found)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("looking for %s %s: %w", id.kind, id.name, err)
	}
	owner := metav1.GetControllerOf(found)
	switch {
	case owner != nil && owner.UID == b.UID, id.kind == claimKind && retained(b, found):
		return found.UID, nil
	case owner != nil && owner.Kind == bridgeKind && owner.Name == b.Name:
		// It belonged to an earlier bridge of this name; the garbage collector deletes it.
		return "", waitError{fmt.Errorf(msgLeftover, id.kind, id.name)}
	default:
		return "", &stallError{v1alpha1.ReasonApplyFailed, fmt.Errorf(msgNotOurs, id.kind, id.name)}
	}
}
