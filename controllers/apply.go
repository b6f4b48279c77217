// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
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

// change is a child to apply, because it does not exist or differs from the wanted state.
type change struct {
	*plannedChild
	wanted   child
	existing liveChild
	exists   bool
}

// applyChildren makes the children match the plan: it applies the children that differ and
// deletes those that are no longer wanted, except for kinds that are never pruned. It reports
// whether it changed anything that the cache may not show yet, and returns the error of the
// first child that it could not apply, as a *stallError if the API server refuses the child.
func (r *Reconciler) applyChildren(ctx context.Context, b *v1alpha1.MQTTBridge, p *plan) (wrote bool, err error) {
	live, err := r.liveChildren(ctx, b)
	if err != nil {
		return false, err
	}
	runner := p.deployment()
	existing := live[runner.identity].object
	if runner.outdated(existing, p.mayLag(r.Now())) {
		// The Deployment is applied last, so that all other children have been applied. A
		// decision about a roll-out needs the Deployment as it is.
		return runner.rolled, nil
	}
	deployment, _ := existing.(*appsv1.Deployment)
	s, err := r.stage(ctx, b, p, deployment)
	if err != nil {
		return false, err
	}
	wrote, err = r.applyChanges(ctx, b, p, s, live)
	if err != nil {
		r.fleet.release(client.ObjectKeyFromObject(b))
		return wrote, err
	}
	if s.kept { // the pod template may use children that this version of the operator does not want
		return wrote, nil
	}
	pruned, err := r.pruneChildren(ctx, live)
	return wrote || pruned, err
}

// applyChanges applies the children that differ from the wanted state, and removes the wanted
// children from live. If the API server refuses one of them, it changes none.
func (r *Reconciler) applyChanges(ctx context.Context, b *v1alpha1.MQTTBridge, p *plan, s *staged, live map[identity]liveChild) (wrote bool, err error) {
	_, runs := live[p.deployment().identity]
	changes, err := r.changes(ctx, b, p, s, live)
	if err != nil {
		return false, err
	}
	if runs {
		if err := r.dryRun(ctx, b, changes); err != nil {
			return false, err
		}
	}
	for i := range changes {
		c := &changes[i]
		if err := r.apply(ctx, b, c); err != nil {
			return wrote, err
		}
		if err := r.noteWritten(p, c); err != nil {
			return wrote, err
		}
		wrote = wrote || c.rolled
		if c.exists && c.kind == claimKind {
			r.announceAdoption(b, c.existing.object)
		}
	}
	return wrote, nil
}

// changes returns the children to apply, in the order of the plan, and removes the wanted
// children from live. It builds them only if there are any.
func (r *Reconciler) changes(ctx context.Context, b *v1alpha1.MQTTBridge, p *plan, s *staged, live map[identity]liveChild) ([]change, error) {
	deployment, _ := live[p.deployment().identity].object.(*appsv1.Deployment)
	mayLag := p.mayLag(r.Now())
	var out []change
	var built []child
	for i := range p.children {
		c := change{plannedChild: &p.children[i]}
		c.existing, c.exists = live[c.identity]
		delete(live, c.identity)
		wanted, err := p.wantedFingerprint(b, s, c.plannedChild, deployment)
		if err != nil {
			return nil, err
		}
		if c.outdated(c.existing.object, mayLag) || c.exists && appliedFingerprint(c.existing.object) == wanted {
			continue
		}
		if built == nil {
			if built, err = build(b, r.RunnerImage); err != nil {
				return nil, err
			}
		}
		switch c.wanted = built[i]; c.kind {
		case configMapKind:
			c.wanted, err = configMap(b, s.annotations[annotationTemplateHash])
		case deploymentKind:
			c.wanted, err = r.wantedDeployment(ctx, s, deploymentOf(built), deployment)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// wantedFingerprint returns the fingerprint of a wanted child. For the Deployment and the
// manifest, which names the pod template, it also depends on the decision of stage.
func (p *plan) wantedFingerprint(b *v1alpha1.MQTTBridge, s *staged, c *plannedChild, deployment *appsv1.Deployment) (string, error) {
	template := s.annotations[annotationTemplateHash]
	switch {
	case c.kind == deploymentKind:
		return s.fingerprint(c.fingerprint, deployment)
	case c.kind != configMapKind || template == p.hashes[annotationTemplateHash]:
		return c.fingerprint, nil
	case p.otherManifest.template != template:
		config, err := configMap(b, template)
		if err != nil {
			return "", err
		}
		text, err := fingerprint(config)
		if err != nil {
			return "", err
		}
		p.otherManifest = manifestFor{template, text}
	}
	return p.otherManifest.fingerprint, nil
}

// noteWritten records that the cache may still hold the version of a child before a write.
func (r *Reconciler) noteWritten(p *plan, c *change) error {
	written, rolled, err := applyChanged(c.wanted, c.existing)
	if err != nil {
		return fmt.Errorf("applying %s %s: %w", c.kind, c.name, err)
	}
	c.written, c.replaced, c.rolled = written, "", rolled
	if c.exists {
		c.replaced = c.existing.object.GetResourceVersion()
	} else {
		p.createdAt = r.Now()
	}
	return nil
}

// apply applies a child.
func (r *Reconciler) apply(ctx context.Context, b *v1alpha1.MQTTBridge, c *change) error {
	log.FromContext(ctx).V(1).Info("applying child", "kind", c.kind, "child", c.name)
	if !c.exists {
		return c.applyError(r.createChild(ctx, b, c.wanted))
	}
	return c.applyError(r.Client.Apply(ctx, c.wanted, client.FieldOwner(FieldOwner), client.ForceOwnership))
}

// applyError adds the child to the error of an apply. It returns a *stallError if the API
// server refuses the child.
func (c *change) applyError(err error) error {
	var stall *stallError
	if err == nil || errors.As(err, &stall) {
		return err
	}
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

// neverVersion is a resource version that no object has. The API server creates an object
// that is applied with it, and refuses the apply with a conflict if the object exists.
const neverVersion = "1"

// createChild applies a child that is not in the cache. The cache holds only objects with the
// operator's labels, and may be older than the child. The child is therefore applied in a way
// that fails if an object with its name exists. Only then is the object read. The options can
// make it a dry run: c does not receive the API server's answer.
func (r *Reconciler) createChild(ctx context.Context, b *v1alpha1.MQTTBridge, c child, options ...client.ApplyOption) error {
	options = append(options, client.FieldOwner(FieldOwner), client.ForceOwnership)
	u, err := copyChild(c)
	if err != nil {
		return err
	}
	u.SetResourceVersion(neverVersion)
	err = r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), options...)
	if !apierrors.IsConflict(err) {
		return err
	}
	if err := r.checkOwnership(ctx, b, identify(c)); err != nil {
		return err
	}
	if u, err = copyChild(c); err != nil {
		return err
	}
	return r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), options...)
}

// copyChild returns a copy of a child, into which the client can write the API server's answer.
func copyChild(c child) (*unstructured.Unstructured, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(c)
	if err != nil {
		return nil, fmt.Errorf("converting %T: %w", c, err)
	}
	return &unstructured.Unstructured{Object: runtime.DeepCopyJSON(fields)}, nil
}

// applyChanged reports whether an apply changed the object, and whether this rolled something
// out. An admission webhook may rewrite fields that the operator sets; then the object never
// equals the wanted one, but applying it again changes and rolls out nothing. A change of an
// object that leaves its generation as it was, for example of a label, rolls out nothing,
// either. applied holds the API server's answer.
func applyChanged(applied child, existing liveChild) (changed, rolled bool, err error) {
	old := existing.object
	if old == nil {
		return true, true, nil
	}
	answer, err := convert[metav1.PartialObjectMetadata](applied)
	if err != nil {
		return false, false, err
	}
	changed = answer.ResourceVersion != old.GetResourceVersion()
	if answer.Generation > 0 {
		return changed, answer.Generation != old.GetGeneration(), nil
	}
	return changed, changed, nil
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
