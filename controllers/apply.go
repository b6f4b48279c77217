// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// identity tells the children of a bridge apart.
type identity struct{ kind, name string }

// liveChild is a child that exists.
type liveChild struct {
	kind   childKind
	object client.Object
}

// applyChildren makes the children what build wants: it applies those that differ
// and deletes those that are no longer wanted, but for kinds that are kept. It reports whether it wrote anything,
// and the first child that it could not bring about, as a *stallError where the API
// server refuses it.
func (r *Reconciler) applyChildren(ctx context.Context, b *v1alpha1.MQTTBridge) (wrote bool, err error) {
	wanted, err := build(b, r.RunnerImage)
	if err != nil {
		return false, err
	}
	live, err := r.liveChildren(ctx, b)
	if err != nil {
		return false, err
	}
	for _, c := range wanted {
		id := identity{ptr.Deref(c.GetKind(), ""), ptr.Deref(c.GetName(), "")}
		existing, exists := live[id]
		delete(live, id)
		if exists {
			same, err := upToDate(existing, c)
			if err != nil {
				return wrote, fmt.Errorf("comparing %s %s: %w", id.kind, id.name, err)
			}
			if same {
				continue
			}
		} else if err := r.mayTake(ctx, b, id); err != nil {
			return wrote, err
		}
		log.FromContext(ctx).V(1).Info("applying child", "kind", id.kind, "child", id.name)
		if err := r.Client.Apply(ctx, c, client.FieldOwner(FieldOwner), client.ForceOwnership); err != nil {
			err = fmt.Errorf("applying %s %s: %w", id.kind, id.name, err)
			if refused(err) {
				if exists && id.kind == claimKind {
					err = fmt.Errorf(msgClaimRefused, err)
				}
				return wrote, &stallError{v1alpha1.ReasonApplyFailed, err}
			}
			return wrote, err
		}
		changed, err := changedBy(c, existing)
		if err != nil {
			return wrote, fmt.Errorf("applying %s %s: %w", id.kind, id.name, err)
		}
		wrote = wrote || changed
	}
	for id, unwanted := range live {
		if unwanted.kind.kept {
			continue
		}
		if err := r.prune(ctx, unwanted.object); err != nil {
			return wrote, fmt.Errorf("deleting %s %s: %w", id.kind, id.name, err)
		}
		wrote = true
	}
	return wrote, nil
}

// liveChildren are the cached objects with the bridge's labels that it controls.
func (r *Reconciler) liveChildren(ctx context.Context, b *v1alpha1.MQTTBridge) (map[identity]liveChild, error) {
	out := map[identity]liveChild{}
	for _, kind := range childKinds {
		list, _ := kind.list.DeepCopyObject().(client.ObjectList)
		if err := r.Client.List(ctx, list, client.InNamespace(b.Namespace), client.MatchingLabels(childLabels(b.Name))); err != nil {
			return nil, fmt.Errorf("listing %s children: %w", kind.gvk.Kind, err)
		}
		err := meta.EachListItem(list, func(item runtime.Object) error {
			if obj, ok := item.(client.Object); ok && metav1.IsControlledBy(obj, b) {
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

// upToDate tells whether applying wanted would change nothing: what the operator
// owns of the object, by the object's managed fields, has the wanted values, and
// there is nothing more and nothing less of it. A field that someone else has
// changed is no longer the operator's, so that it counts as missing.
func upToDate(existing liveChild, wanted child) (bool, error) {
	applied, err := existing.kind.applied(existing.object)
	if err != nil {
		return false, err
	}
	return equality.Semantic.DeepEqual(applied, wanted), nil
}

// changedBy tells whether an apply changed anything. It need not have: where an
// admission webhook rewrites what the operator sets, the two never look the same, and
// nothing is rolled out by applying it again. applied holds the API server's answer.
func changedBy(applied child, existing liveChild) (bool, error) {
	answer, err := convert[metav1.PartialObjectMetadata](applied)
	if err != nil {
		return false, err
	}
	return existing.object == nil || answer.ResourceVersion != existing.object.GetResourceVersion(), nil
}

// mayTake refuses to take over an object of a child's name that the bridge does not
// control. It asks the API server, since the cache holds objects with its labels only.
func (r *Reconciler) mayTake(ctx context.Context, b *v1alpha1.MQTTBridge, id identity) error {
	found := &metav1.PartialObjectMetadata{}
	for _, kind := range childKinds {
		if kind.gvk.Kind == id.kind {
			found.SetGroupVersionKind(kind.gvk)
		}
	}
	err := r.APIReader.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: id.name}, found)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for %s %s: %w", id.kind, id.name, err)
	}
	owner := metav1.GetControllerOf(found)
	switch {
	case owner != nil && owner.UID == b.UID:
		return nil
	case owner != nil && owner.Kind == bridgeKind && owner.Name == b.Name:
		// Left by an earlier bridge of this name; the garbage collector is on it.
		return fmt.Errorf(msgLeftover, id.kind, id.name)
	default:
		return &stallError{v1alpha1.ReasonApplyFailed, fmt.Errorf(msgNotOurs, id.kind, id.name)}
	}
}

// prune deletes a child, unless it was replaced since it was read.
func (r *Reconciler) prune(ctx context.Context, obj client.Object) error {
	if !obj.GetDeletionTimestamp().IsZero() {
		return nil
	}
	err := r.Client.Delete(ctx, obj,
		client.Preconditions{UID: ptr.To(obj.GetUID())},
		client.PropagationPolicy(metav1.DeletePropagationBackground))
	return client.IgnoreNotFound(err)
}
