// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

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
	if p.hasNetworkPolicy() && awaitsChange(b) {
		maps.DeleteFunc(live, func(id identity, _ liveChild) bool { return id.kind == networkPolicyKind })
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
		answer, err := r.apply(ctx, b, c)
		if err != nil {
			return wrote, err
		}
		r.noteWritten(p, c, answer)
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
			if built, err = build(b, r.podDefaults()); err != nil {
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

// noteWritten records that the cache may still hold the version of a child before a write. answer
// is the answer of the API server, which has no fields for a new child.
func (r *Reconciler) noteWritten(p *plan, c *change, answer *unstructured.Unstructured) {
	written, rolled := c.applyChanged(answer)
	c.written, c.replaced, c.rolled = written, "", rolled
	if c.exists {
		c.replaced = c.existing.object.GetResourceVersion()
	} else {
		p.createdAt = r.Now()
	}
}

// apply applies a child, and returns the answer of the API server, which has no fields for a new
// child.
func (r *Reconciler) apply(ctx context.Context, b *v1alpha1.MQTTBridge, c *change) (*unstructured.Unstructured, error) {
	log.FromContext(ctx).V(1).Info("applying child", "kind", c.kind, "child", c.name)
	if !c.exists {
		return &unstructured.Unstructured{}, c.applyError(r.createChild(ctx, b, c.wanted))
	}
	answer, err := r.applyTo(ctx, c.existing.object.GetUID(), c.wanted)
	return answer, c.applyError(err)
}

// applyTo applies a child to the object with a UID, and returns the answer of the API server. The
// API server refuses it if another client has replaced the object since it was read: the other object
// may belong to another program.
func (r *Reconciler) applyTo(ctx context.Context, uid types.UID, c child, options ...client.ApplyOption) (*unstructured.Unstructured, error) {
	u, err := copyChild(c)
	if err != nil {
		return nil, err
	}
	u.SetUID(uid)
	options = append(options, client.FieldOwner(FieldOwner), client.ForceOwnership)
	err = r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), options...)
	if ofOtherUID(err) { // another pass reads the other object
		return u, waitError{err}
	}
	return u, err
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

// neverVersion is a resource version that no object has. The API server creates an object
// that is applied with it, and refuses the apply with a conflict if the object exists.
const neverVersion = "1"

// createChild applies a child that is not in the cache. The cache holds only objects with the
// operator's labels, and may be older than the child. The child is therefore applied in a way
// that fails if an object with its name exists. Only then is the object read. The options can
// make it a dry run: c does not receive the API server's answer.
func (r *Reconciler) createChild(ctx context.Context, b *v1alpha1.MQTTBridge, c child, options ...client.ApplyOption) error {
	u, err := copyChild(c)
	if err != nil {
		return err
	}
	u.SetResourceVersion(neverVersion)
	conflict := r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), append(options, client.FieldOwner(FieldOwner), client.ForceOwnership)...)
	if !apierrors.IsConflict(conflict) {
		return conflict
	}
	uid, err := r.checkOwnership(ctx, b, identify(c))
	if err != nil {
		return err
	}
	if uid == "" { // it has been deleted; another pass creates it
		return conflict
	}
	_, err = r.applyTo(ctx, uid, c, options...)
	return err
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
// either. A changed manifest rolls out nothing: status.runners[].generation shows when the runner
// has applied it. Nor does a Lease, which its holder changes all the time.
func (c *change) applyChanged(answer *unstructured.Unstructured) (changed, rolled bool) {
	old := c.existing.object
	if old == nil {
		return true, true
	}
	changed = answer.GetResourceVersion() != old.GetResourceVersion()
	switch {
	case answer.GetGeneration() > 0:
		return changed, answer.GetGeneration() != old.GetGeneration()
	case c.kind == configMapKind, c.kind == leaseKind:
		return changed, false
	default:
		return changed, changed
	}
}
