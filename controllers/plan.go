// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// plan is the result of the pure functions for one version of a bridge. Most passes start
// because of a change of the status, a pod or a child, which does not change the plan. The
// plan of each bridge is kept, because validation and rendering need more time than the rest
// of such a pass.
type plan struct {
	// uid, generation and annotations identify the version of the bridge: all inputs of
	// validate, Policy.check and build, except for the name and the operator's settings.
	uid         types.UID
	generation  int64
	annotations map[string]string

	// invalid are the errors of the spec, and forbidden are the values that the policy
	// forbids. If there are any, the fields below are empty.
	invalid, forbidden field.ErrorList
	// children are the wanted children in the order in which they are applied. The Deployment
	// is the last one. stage completes its fingerprint.
	children []plannedChild
	// otherManifest is the fingerprint of the ConfigMap for a pod template other than the planned
	// one, which a roll-out keeps for now.
	otherManifest manifestFor
	// podSpecHash and templateHash are the values of annotationPodSpecHash and
	// annotationTemplateHash for the wanted pod template.
	podSpecHash, templateHash string

	// replaced is the resource version of the bridge before the latest write of its status.
	replaced string
	// failureWritten is when the operator last wrote a status with the text of a failure.
	failureWritten time.Time
	// createdAt is when the operator last created a child.
	createdAt time.Time

	// pairs, loop and loopVersion are the cached result of findLoop. loop is valid while the
	// version of pairs is loopVersion.
	pairs       []pair
	loop        string
	loopVersion uint64
}

// plannedChild is a wanted child, with the fingerprint of its fields instead of the fields.
type plannedChild struct {
	identity
	fingerprint string
	// written is true if the operator has written the child, and the cache may not hold the
	// result yet. replaced is then the resource version before the write, and empty if the
	// child did not exist.
	written  bool
	replaced string
	// rolled is true if the write rolled something out (applyChanged).
	rolled bool
}

// manifestFor is the fingerprint of a ConfigMap whose manifest names the hash of a pod template.
type manifestFor struct{ template, fingerprint string }

// cacheDelay is the longest time that the cache needs for a new child. If the cache does not
// hold the child then, it was deleted at once.
const cacheDelay = 10 * time.Second

// outdated reports whether the cache holds the version of the child that the operator has
// replaced. When the cache holds the new version, another pass follows.
func (c *plannedChild) outdated(existing client.Object, mayLag bool) bool {
	version := ""
	if existing != nil {
		version = existing.GetResourceVersion()
	}
	if c.written && version == c.replaced && (existing != nil || mayLag) {
		return true
	}
	c.written, c.replaced, c.rolled = false, "", false
	return false
}

// mayLag reports whether the cache may lack a child that the operator has created.
func (p *plan) mayLag(now time.Time) bool { return now.Sub(p.createdAt) < cacheDelay }

// deployment returns the planned Deployment.
func (p *plan) deployment() *plannedChild { return &p.children[len(p.children)-1] }

// awaitsCache reports whether the cache may lack a child that the operator has created.
func (p *plan) awaitsCache() bool {
	return slices.ContainsFunc(p.children, func(c plannedChild) bool { return c.written && c.replaced == "" })
}

// retryAfter returns the time after which the cache must hold all children, or 0 if it does.
func (p *plan) retryAfter() time.Duration {
	if p.awaitsCache() {
		return cacheDelay
	}
	return 0
}

// refusal returns a *stallError if the spec is invalid or breaks the policy.
func (p *plan) refusal() error {
	switch {
	case len(p.invalid) > 0:
		return &stallError{v1alpha1.ReasonInvalidSpec, fmt.Errorf(msgInvalidSpec, p.invalid.ToAggregate())}
	case len(p.forbidden) > 0:
		return &stallError{v1alpha1.ReasonNotAllowed, fmt.Errorf(msgInvalidSpec, p.forbidden.ToAggregate())}
	default:
		return nil
	}
}

// planBook keeps the plan of each bridge.
type planBook struct {
	mu    sync.Mutex // guards plans
	plans map[client.ObjectKey]*plan
}

// lookup returns the plan of this version of the bridge, or nil if there is none.
func (k *planBook) lookup(b *v1alpha1.MQTTBridge) *plan {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.plans[client.ObjectKeyFromObject(b)]
	if p == nil || !p.isOf(b.UID, b.Generation, b.Annotations) {
		return nil
	}
	return p
}

// keep keeps a plan and returns it, unless there is a plan of this version already, which may
// record writes: then it returns that plan.
func (k *planBook) keep(key client.ObjectKey, p *plan) *plan {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.plans == nil {
		k.plans = map[client.ObjectKey]*plan{}
	}
	if old := k.plans[key]; old != nil && old.isOf(p.uid, p.generation, p.annotations) {
		return old
	}
	k.plans[key] = p
	return p
}

// isOf reports whether the plan is of a version of a bridge.
func (p *plan) isOf(uid types.UID, generation int64, annotations map[string]string) bool {
	return p.uid == uid && p.generation == generation && maps.Equal(p.annotations, annotations)
}

// forget removes the plan of a deleted bridge.
func (k *planBook) forget(key client.ObjectKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.plans, key)
}

// all returns the plans.
func (k *planBook) all() map[client.ObjectKey]*plan {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.plans)
}

// forgetUnused removes plans, except for those that another plan has replaced.
func (k *planBook) forgetUnused(unused map[client.ObjectKey]*plan) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, p := range unused {
		if k.plans[key] == p {
			delete(k.plans, key)
		}
	}
}

// planFor returns the plan of the bridge, and makes it if the bridge has changed.
func (r *Reconciler) planFor(b *v1alpha1.MQTTBridge) (*plan, error) {
	if p := r.plans.lookup(b); p != nil {
		return p, nil
	}
	p, err := newPlan(b, r.podDefaults(), &r.Policy)
	if err != nil {
		return nil, err
	}
	return r.plans.keep(client.ObjectKeyFromObject(b), p), nil
}

func newPlan(b *v1alpha1.MQTTBridge, defaults podDefaults, policy *Policy) (*plan, error) {
	p := &plan{uid: b.UID, generation: b.Generation, annotations: b.Annotations}
	if p.invalid = validate(b); len(p.invalid) > 0 {
		return p, nil
	}
	var err error
	if p.forbidden, err = policy.check(b); err != nil || len(p.forbidden) > 0 {
		return p, err
	}
	children, err := build(b, defaults)
	if err != nil {
		return nil, err
	}
	p.children = make([]plannedChild, 0, len(children))
	for _, c := range children {
		wanted, err := wantedFingerprint(c)
		if err != nil {
			return nil, err
		}
		p.children = append(p.children, plannedChild{identity: identify(c), fingerprint: wanted})
	}
	annotations := deploymentOf(children).Annotations
	p.podSpecHash, p.templateHash = annotations[annotationPodSpecHash], annotations[annotationTemplateHash]
	p.pairs = pairsOf(b)
	return p, nil
}

func identify(c child) identity {
	return identity{ptr.Deref(c.GetKind(), ""), ptr.Deref(c.GetName(), "")}
}
