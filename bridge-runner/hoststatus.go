// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
)

// fileStatus is the entry of a file in the answer to /status.
type fileStatus struct {
	// Namespace and Name are empty, and Status is nil, if the file has had no valid content.
	Namespace string                     `json:"namespace,omitempty"`
	Name      string                     `json:"name,omitempty"`
	File      string                     `json:"file"`
	Status    *v1alpha1.MQTTBridgeStatus `json:"status,omitempty"`
	// Error is why the present content of the file is not applied. It is empty if it is.
	Error string `json:"error,omitempty"`
}

// errLoading is why a process that has not read all manifests is not ready.
var errLoading = errors.New("reading the manifests")

// endpoints returns the endpoints of the process.
func (h *host) endpoints(ctx context.Context) *report.Endpoints {
	return &report.Endpoints{
		Metrics:      h.registry,
		Page:         h.page().Register,
		Status:       func() any { return h.statuses() },
		BridgeStatus: h.bridgeStatus,
		Member:       memberStatus(h.group),
		Alive:        h.checkAlive,
		Ready: func() error {
			h.mu.Lock()
			defer h.mu.Unlock()
			switch {
			case ctx.Err() != nil:
				return errStopping
			case !h.loaded:
				return errLoading
			}
			return h.group.ready()
		},
	}
}

// snapshot returns a copy of each file, in alphabetical order.
func (h *host) snapshot() []file {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]file, 0, len(h.files))
	for _, f := range h.files {
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b file) int { return cmp.Compare(a.name, b.name) })
	return out
}

func (h *host) statuses() []fileStatus {
	files := h.snapshot()
	out := make([]fileStatus, 0, len(files))
	for i := range files {
		out = append(out, files[i].status())
	}
	return out
}

func (f *file) status() fileStatus {
	out := fileStatus{File: f.name, Error: f.refusal()}
	if b := f.bridge; b != nil {
		status := b.state.Status()
		out.Namespace, out.Name, out.Status = b.key.Namespace, b.key.Name, &status
	}
	return out
}

// bridgeStatus returns the entry of a bridge, and false if there is no such bridge.
func (h *host) bridgeStatus(namespace, name string) (any, bool) {
	f, ok := h.fileOf(namespace, name)
	if !ok {
		return nil, false
	}
	return f.status(), true
}

// fileOf returns a copy of the file of a bridge, and false if there is no such bridge.
func (h *host) fileOf(namespace, name string) (file, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	owner := h.owners[types.NamespacedName{Namespace: namespace, Name: name}]
	if owner == nil {
		return file{}, false
	}
	return *owner, true
}

// checkAlive returns an error that names a bridge without progress.
func (h *host) checkAlive() error {
	files := h.snapshot()
	for i := range files {
		if !files[i].runs() {
			continue
		}
		if err := files[i].bridge.checkAlive(); err != nil {
			return fmt.Errorf("%s: %w", files[i].bridge.key, err)
		}
	}
	return nil
}

// count returns a function that returns the number of files for which is returns true.
func (h *host) count(is func(*file) bool) func() float64 {
	return func() (n float64) {
		files := h.snapshot()
		for i := range files {
			if is(&files[i]) {
				n++
			}
		}
		return n
	}
}
