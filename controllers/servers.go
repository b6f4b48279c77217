// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"
	"sync"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlevent "sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// address is the hash of a server's address, as the bridge's pod reaches it. Two addresses
// with the same hash only cause a search for a loop that finds nothing.
type address uint64

var addressSeed = maphash.MakeSeed()

// pair is a server of one side and a server of the other side, the smaller one first. Two
// bridges connect the same servers, in either direction, if they have a pair in common.
type pair [2]address

func addressesOf(b *v1alpha1.MQTTBridge) (local, remote []address) {
	hashes := func(s *v1alpha1.Side) (out []address) {
		for _, text := range manifest.Addresses(s, b.Namespace) {
			out = append(out, address(maphash.String(addressSeed, text)))
		}
		return out
	}
	return hashes(&b.Spec.Local), hashes(&b.Spec.Remote)
}

// pairsOf returns the pairs of a bridge, without duplicates.
func pairsOf(b *v1alpha1.MQTTBridge) []pair {
	local, remote := addressesOf(b)
	out := make([]pair, 0, len(local)*len(remote))
	for _, l := range local {
		for _, r := range remote {
			out = append(out, pair{min(l, r), max(l, r)})
		}
	}
	slices.SortFunc(out, func(x, y pair) int { return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1])) })
	return slices.Compact(out)
}

// serverIndex finds the bridges that connect the same servers. The watch of the bridges keeps
// it up to date.
type serverIndex struct {
	mu    sync.Mutex // guards all fields
	pairs map[pair]*sharers
	// flows are the numbers of bridges that read from a server and that write to it.
	flows map[address]flow
	// changes is the number of changes so far.
	changes uint64
}

// sharers are the bridges that have a pair in common.
type sharers struct {
	bridges []client.ObjectKey
	// version is the number of the latest change of one of the bridges.
	version uint64
}

type flow struct{ readers, writers int32 }

// sharing returns the other bridges that have one of the pairs, and the version of the
// result, which increases with each change of one of these bridges. If the version is known,
// it returns no bridges.
func (x *serverIndex) sharing(pairs []pair, self client.ObjectKey, known uint64) (others []client.ObjectKey, version uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range pairs {
		if s := x.pairs[p]; s != nil {
			version += s.version
		}
	}
	if version == known {
		return nil, version
	}
	return x.othersLocked(pairs, self), version
}

func (x *serverIndex) othersLocked(pairs []pair, self client.ObjectKey) []client.ObjectKey {
	seen := map[client.ObjectKey]bool{self: true}
	var out []client.ObjectKey
	for _, p := range pairs {
		s := x.pairs[p]
		if s == nil {
			continue
		}
		for _, key := range s.bridges {
			if !seen[key] {
				seen[key] = true
				out = append(out, key)
			}
		}
	}
	return out
}

// update replaces a bridge: from is nil if the bridge is new, and to is nil if it is deleted.
// It returns the other bridges whose loops the change may affect.
func (x *serverIndex) update(from, to *v1alpha1.MQTTBridge) []client.ObjectKey {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.pairs == nil {
		x.pairs, x.flows = map[pair]*sharers{}, map[address]flow{}
	}
	x.changes++
	var affected []client.ObjectKey
	for _, step := range []struct {
		bridge *v1alpha1.MQTTBridge
		add    bool
	}{{from, false}, {to, true}} {
		b := step.bridge
		if b == nil {
			continue
		}
		key, pairs := client.ObjectKeyFromObject(b), pairsOf(b)
		if step.add {
			x.addFlowsLocked(b, 1)
		}
		if x.mayLoopLocked(b) {
			affected = append(affected, x.othersLocked(pairs, key)...)
		}
		if !step.add {
			x.addFlowsLocked(b, -1)
		}
		for _, p := range pairs {
			x.setLocked(p, key, step.add)
		}
	}
	return affected
}

// setLocked adds a bridge to the bridges that have a pair, or removes it.
func (x *serverIndex) setLocked(p pair, key client.ObjectKey, add bool) {
	s := x.pairs[p]
	if s == nil {
		s = &sharers{}
		x.pairs[p] = s
	}
	s.version = x.changes
	if add {
		s.bridges = append(s.bridges, key)
		return
	}
	if i := slices.Index(s.bridges, key); i >= 0 {
		s.bridges = slices.Delete(s.bridges, i, i+1)
	}
	if len(s.bridges) == 0 {
		delete(x.pairs, p)
	}
}

// addFlowsLocked adds n to the numbers of the servers that the bridge reads from and writes
// to.
func (x *serverIndex) addFlowsLocked(b *v1alpha1.MQTTBridge, n int32) {
	local, remote := addressesOf(b)
	add := func(from, to []address) {
		for _, a := range from {
			f := x.flows[a]
			f.readers += n
			x.setFlowLocked(a, f)
		}
		for _, a := range to {
			f := x.flows[a]
			f.writers += n
			x.setFlowLocked(a, f)
		}
	}
	if len(b.Spec.LocalToRemote) > 0 {
		add(local, remote)
	}
	if len(b.Spec.RemoteToLocal) > 0 {
		add(remote, local)
	}
}

func (x *serverIndex) setFlowLocked(a address, f flow) {
	if f == (flow{}) {
		delete(x.flows, a)
		return
	}
	x.flows[a] = f
}

// mayLoopLocked reports whether a loop through the bridge is possible: whether bridges both
// read from and write to one of its servers. If many bridges forward from the same servers to
// the same servers, a change of one of them does not start a pass over all.
func (x *serverIndex) mayLoopLocked(b *v1alpha1.MQTTBridge) bool {
	local, remote := addressesOf(b)
	return slices.ContainsFunc(slices.Concat(local, remote), func(a address) bool {
		f := x.flows[a]
		return f.readers > 0 && f.writers > 0
	})
}

// handler keeps the index up to date, and starts a pass over the bridges that connect the same
// servers as a changed bridge, because the change may start or end a loop through them.
func (x *serverIndex) handler() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[ctrl.Request]
	update := func(from, to client.Object, q queue) {
		old, _ := from.(*v1alpha1.MQTTBridge)
		bridge, _ := to.(*v1alpha1.MQTTBridge)
		for _, key := range x.update(old, bridge) {
			q.Add(ctrl.Request{NamespacedName: key})
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e ctrlevent.CreateEvent, q queue) { update(nil, e.Object, q) },
		UpdateFunc: func(_ context.Context, e ctrlevent.UpdateEvent, q queue) { update(e.ObjectOld, e.ObjectNew, q) },
		DeleteFunc: func(_ context.Context, e ctrlevent.DeleteEvent, q queue) { update(e.Object, nil, q) },
	}
}
