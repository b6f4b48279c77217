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

// identity identifies a child among the children of a bridge.
type identity struct{ kind, name string }

// liveChild is a child that exists.
type liveChild struct {
	kind   childKind
	object client.Object
}

// change is a child to apply, because it does not exist or differs from the wanted state.
type change struct {
	identity
	wanted   child
	existing liveChild
	exists   bool
}

// applyChildren makes the children match the result of build: it applies the children that
// differ and deletes those that are no longer wanted, except for kinds that are never
// pruned. It reports whether it changed anything, and returns the error of the first child
// that it could not apply, as a *stallError if the API server refuses the child.
func (r *Reconciler) applyChildren(ctx context.Context, b *v1alpha1.MQTTBridge) (wrote bool, err error) {
	wanted, err := build(b, r.RunnerImage)
	if err != nil {
		return false, err
	}
	live, err := r.liveChildren(ctx, b)
	if err != nil {
		return false, err
	}
	runner := live[identity{deploymentKind, childName(b.Name)}]
	kept, err := r.stage(ctx, b, deploymentOf(wanted), runner)
	if err != nil {
		return false, err
	}
	wrote, err = r.applyChanges(ctx, b, wanted, live)
	if err != nil {
		r.fleet.release(client.ObjectKeyFromObject(b))
		return wrote, err
	}
	if kept { // the pod template may use children that this version of the operator does not want
		return wrote, nil
	}
	pruned, err := r.pruneChildren(ctx, live)
	return wrote || pruned, err
}

// applyChanges applies the children that differ from the wanted state, and removes the wanted
// children from live. If the API server refuses one of them, it changes none.
func (r *Reconciler) applyChanges(ctx context.Context, b *v1alpha1.MQTTBridge, wanted []child, live map[identity]liveChild) (wrote bool, err error) {
	if err := renderManifest(b, wanted); err != nil {
		return false, err
	}
	_, runs := live[identity{deploymentKind, childName(b.Name)}]
	changes, err := r.changes(ctx, b, wanted, live)
	if err != nil {
		return false, err
	}
	if runs {
		if err := r.dryRun(ctx, changes); err != nil {
			return false, err
		}
	}
	for i := range changes {
		changed, err := r.apply(ctx, &changes[i])
		if err != nil {
			return wrote, err
		}
		wrote = wrote || changed
		if changes[i].exists && changes[i].kind == claimKind {
			r.announceAdoption(b, changes[i].existing.object)
		}
	}
	return wrote, nil
}

// changes returns the children to apply, in the order of wanted, and removes the wanted
// children from live.
func (r *Reconciler) changes(ctx context.Context, b *v1alpha1.MQTTBridge, wanted []child, live map[identity]liveChild) ([]change, error) {
	var out []change
	for _, w := range wanted {
		c := change{identity: identity{ptr.Deref(w.GetKind(), ""), ptr.Deref(w.GetName(), "")}, wanted: w}
		c.existing, c.exists = live[c.identity]
		delete(live, c.identity)
		if c.exists {
			same, err := upToDate(c.existing, w)
			if err != nil {
				return nil, fmt.Errorf("comparing %s %s: %w", c.kind, c.name, err)
			}
			if same {
				continue
			}
		} else if err := r.checkOwnership(ctx, b, c.identity); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// apply applies a child, and reports whether this changed it.
func (r *Reconciler) apply(ctx context.Context, c *change) (changed bool, err error) {
	log.FromContext(ctx).V(1).Info("applying child", "kind", c.kind, "child", c.name)
	if err := r.Client.Apply(ctx, c.wanted, client.FieldOwner(FieldOwner), client.ForceOwnership); err != nil {
		return false, c.applyError(err)
	}
	changed, err = applyChanged(c.wanted, c.existing)
	if err != nil {
		return false, fmt.Errorf("applying %s %s: %w", c.kind, c.name, err)
	}
	return changed, nil
}

// applyError adds the child to the error of an apply. It returns a *stallError if the API
// server refuses the child.
func (c *change) applyError(err error) error {
	err = fmt.Errorf("applying %s %s: %w", c.kind, c.name, err)
	if !refused(err) {
		return err
	}
	if c.exists && c.kind == claimKind {
		err = fmt.Errorf(msgClaimRefused, err)
	}
	return &stallError{v1alpha1.ReasonApplyFailed, err}
}

// pruneChildren deletes the given children, except for kinds that are never pruned. It
// reports whether it deleted any.
func (r *Reconciler) pruneChildren(ctx context.Context, unwanted map[identity]liveChild) (pruned bool, err error) {
	for id, c := range unwanted {
		if c.kind.neverPrune {
			continue
		}
		if err := r.prune(ctx, c.object); err != nil {
			return pruned, fmt.Errorf("deleting %s %s: %w", id.kind, id.name, err)
		}
		pruned = true
	}
	return pruned, nil
}

// liveChildren returns the cached objects that have the bridge's labels and that the bridge
// controls, and its retained claim.
func (r *Reconciler) liveChildren(ctx context.Context, b *v1alpha1.MQTTBridge) (map[identity]liveChild, error) {
	out := map[identity]liveChild{}
	for _, kind := range childKinds {
		list, _ := kind.list.DeepCopyObject().(client.ObjectList)
		if err := r.Client.List(ctx, list, client.InNamespace(b.Namespace), client.MatchingLabels(childLabels(b.Name))); err != nil {
			return nil, fmt.Errorf("listing %s children: %w", kind.gvk.Kind, err)
		}
		err := meta.EachListItem(list, func(item runtime.Object) error {
			if obj, ok := item.(client.Object); ok && (metav1.IsControlledBy(obj, b) || kind.neverPrune && retained(b, obj)) {
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

// upToDate reports whether applying wanted would change nothing: according to the managed
// fields, the operator owns exactly the fields of wanted, and they have the wanted values.
// A field that another client has changed is no longer owned by the operator, so that it
// counts as missing.
func upToDate(existing liveChild, wanted child) (bool, error) {
	applied, err := existing.kind.applied(existing.object)
	if err != nil {
		return false, err
	}
	return equality.Semantic.DeepEqual(applied, wanted), nil
}

// applyChanged reports whether an apply changed the object. An admission webhook may
// rewrite fields that the operator sets; then the object never equals the wanted one, but
// applying it again changes and rolls out nothing. A change of an object that leaves its
// generation as it was, for example of a label, rolls out nothing, either. applied holds the
// API server's answer.
func applyChanged(applied child, existing liveChild) (bool, error) {
	answer, err := convert[metav1.PartialObjectMetadata](applied)
	if err != nil {
		return false, err
	}
	old := existing.object
	switch {
	case old == nil:
		return true, nil
	case answer.Generation > 0:
		return answer.Generation != old.GetGeneration(), nil
	default:
		return answer.ResourceVersion != old.GetResourceVersion(), nil
	}
}

// checkOwnership returns an error if an object with a child's name exists that the bridge
// does not control, and that is not its retained claim. It reads from the API server, because
// the cache holds only objects with the operator's labels.
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
	case owner != nil && owner.UID == b.UID, id.kind == claimKind && retained(b, found):
		return nil
	case owner != nil && owner.Kind == bridgeKind && owner.Name == b.Name:
		// It belonged to an earlier bridge of this name; the garbage collector deletes it.
		return waitError{fmt.Errorf(msgLeftover, id.kind, id.name)}
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
