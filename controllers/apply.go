// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// identity identifies a child among the children of a bridge.
type identity struct{ kind, name string }

// liveChild is a child that exists.
type liveChild struct {
	kind   childKind
	object client.Object
}

// applyChildren makes the children match the plan: it applies the children that differ and
// deletes those that are no longer wanted, except for kinds that are never pruned. It reports
// whether it changed anything, and returns the error of the first child that it could not
// apply, as a *stallError if the API server refuses the child.
func (r *Reconciler) applyChildren(ctx context.Context, b *v1alpha1.MQTTBridge, p *plan) (wrote bool, err error) {
	live, err := r.liveChildren(ctx, b)
	if err != nil {
		return false, err
	}
	var wanted []child // built when a child has to be applied
	mayLag := r.Now().Sub(p.createdAt) < cacheDelay
	for i := range p.children {
		c := &p.children[i]
		existing := live[c.identity]
		delete(live, c.identity)
		if c.current(existing.object, mayLag) {
			continue
		}
		if wanted == nil {
			if wanted, err = build(b, r.RunnerImage); err != nil {
				return wrote, err
			}
		}
		changed, err := r.applyChild(ctx, b, wanted[i], existing)
		if err != nil {
			return wrote, err
		}
		if changed {
			r.noteWritten(p, c, existing.object)
			wrote = true
		}
	}
	for id, unwanted := range live {
		if unwanted.kind.neverPrune {
			continue
		}
		if err := r.prune(ctx, unwanted.object); err != nil {
			return wrote, fmt.Errorf("deleting %s %s: %w", id.kind, id.name, err)
		}
		wrote = true
	}
	return wrote, nil
}

// noteWritten records that the cache may still hold the version of a child before a write.
func (r *Reconciler) noteWritten(p *plan, c *plannedChild, before client.Object) {
	c.written, c.replaced = true, ""
	if before == nil {
		p.createdAt = r.Now()
	} else {
		c.replaced = before.GetResourceVersion()
	}
}

// liveChildren returns the cached objects that the bridge controls. They belong to the cache
// and must not be changed.
func (r *Reconciler) liveChildren(ctx context.Context, b *v1alpha1.MQTTBridge) (map[identity]liveChild, error) {
	out := make(map[identity]liveChild, len(childKinds))
	key := client.ObjectKey{Namespace: b.Namespace, Name: childName(b.Name)}
	for _, kind := range childKinds {
		obj := kind.newObject()
		err := r.Client.Get(ctx, key, obj, client.UnsafeDisableDeepCopy)
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("reading %s %s: %w", kind.gvk.Kind, key.Name, err)
		}
		if err == nil && metav1.IsControlledBy(obj, b) {
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

// applyChild applies a child, and reports whether this changed it.
func (r *Reconciler) applyChild(ctx context.Context, b *v1alpha1.MQTTBridge, c child, existing liveChild) (changed bool, err error) {
	id := identify(c)
	log.FromContext(ctx).V(1).Info("applying child", "kind", id.kind, "child", id.name)
	if existing.object == nil {
		err = r.createChild(ctx, b, c)
	} else {
		err = r.Client.Apply(ctx, c, client.FieldOwner(FieldOwner), client.ForceOwnership)
	}
	var stall *stallError
	switch {
	case err == nil:
	case errors.As(err, &stall):
		return false, err
	case !refused(err):
		return false, fmt.Errorf("applying %s %s: %w", id.kind, id.name, err)
	default:
		err = fmt.Errorf("applying %s %s: %w", id.kind, id.name, err)
		if existing.object != nil && id.kind == claimKind {
			err = fmt.Errorf(msgClaimRefused, err)
		}
		return false, &stallError{v1alpha1.ReasonApplyFailed, err}
	}
	if changed, err = applyChanged(c, existing); err != nil {
		return false, fmt.Errorf("applying %s %s: %w", id.kind, id.name, err)
	}
	return changed, nil
}

// neverVersion is a resource version that no object has. The API server creates an object
// that is applied with it, and refuses the apply with a conflict if the object exists.
const neverVersion = "1"

// createChild applies a child that is not in the cache. The cache holds only objects with the
// operator's labels, and may be older than the child. The child is therefore applied in a way
// that fails if an object with its name exists. Only then is the object read.
func (r *Reconciler) createChild(ctx context.Context, b *v1alpha1.MQTTBridge, c child) error {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(c)
	if err != nil {
		return fmt.Errorf("converting %T: %w", c, err)
	}
	u := &unstructured.Unstructured{Object: fields}
	u.SetResourceVersion(neverVersion)
	err = r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(FieldOwner), client.ForceOwnership)
	if !apierrors.IsConflict(err) {
		return err
	}
	if err := r.checkOwnership(ctx, b, identify(c)); err != nil {
		return err
	}
	return r.Client.Apply(ctx, c, client.FieldOwner(FieldOwner), client.ForceOwnership)
}

// applyChanged reports whether an apply changed the object. An admission webhook may
// rewrite fields that the operator sets; then the object never equals the wanted one, but
// applying it again changes and rolls out nothing. applied holds the API server's answer.
func applyChanged(applied child, existing liveChild) (bool, error) {
	if existing.object == nil {
		return true, nil
	}
	answer, err := convert[metav1.PartialObjectMetadata](applied)
	if err != nil {
		return false, err
	}
	return answer.ResourceVersion != existing.object.GetResourceVersion(), nil
}

// checkOwnership returns an error if an object with a child's name exists that the bridge
// does not control. It reads from the API server, because the cache holds only objects with
// the operator's labels.
func (r *Reconciler) checkOwnership(ctx context.Context, b *v1alpha1.MQTTBridge, id identity) error {
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
		// It belonged to an earlier bridge of this name; the garbage collector deletes it.
		return fmt.Errorf(msgLeftover, id.kind, id.name)
	default:
		return &stallError{v1alpha1.ReasonApplyFailed, fmt.Errorf(msgNotOurs, id.kind, id.name)}
	}
}

// prune deletes a child, unless it has been replaced since it was read.
func (r *Reconciler) prune(ctx context.Context, obj client.Object) error {
	if !obj.GetDeletionTimestamp().IsZero() {
		return nil
	}
	err := r.Client.Delete(ctx, obj,
		client.Preconditions{UID: ptr.To(obj.GetUID())},
		client.PropagationPolicy(metav1.DeletePropagationBackground))
	return client.IgnoreNotFound(err)
}
