// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "k8s.io/apimachinery/pkg/types"

// setWaitsFor sets the bridge that another file has, and f, too.
func (h *host) setWaitsFor(f *file, key types.NamespacedName) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.waitsFor = key
}

// cycle returns files that have exchanged their bridges: f waits for the bridge of the second file,
// which waits for the bridge of the third one, and so on. The last one waits for the bridge of f.
// It returns nil if there are no such files.
func (h *host) cycle(f *file) (all []*file) {
	for next := f; next != nil && len(all) < len(h.files); next = h.owners[next.waitsFor] {
		all = append(all, next)
		if h.owners[next.waitsFor] == f {
			return all
		}
	}
	return nil
}

// exchange gives each file of a cycle the bridge that it waits for. The bridges run on.
func (h *host) exchange(cycle []*file) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := cycle[0].bridge
	for i, f := range cycle {
		f.bridge = first
		if i+1 < len(cycle) {
			f.bridge = cycle[i+1].bridge
		}
		h.owners[f.bridge.key] = f
		h.log.Info("the bridge has moved to another file", "namespace", f.bridge.key.Namespace, "bridge", f.bridge.key.Name, "file", f.name)
	}
}
