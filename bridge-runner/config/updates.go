// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"errors"
	"log/slog"
	"sync"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// Updates receives the manifests of a bridge that the runner finds while it runs, and applies
// those that are not older than the applied one. They come from two sources: the file, and in a cluster
// also the ConfigMap on the API server. The kubelet copies the ConfigMap to the file up to
// about a minute later, so that the file may be older; the file is newer if the runner could
// not watch the ConfigMap.
//
// A manifest is older if its metadata.generation is lower. At the same generation, the API
// server's manifest has priority. Without a cluster, each change of the file is applied.
//
// A manifest that cannot be applied is refused as a whole. It is reported until a manifest that is
// not older is applied.
type Updates struct {
	target Target
	// template is the hash of the pod template of the runner's pod.
	template string
	log      *slog.Logger

	// mu is held while the target is called, so that an older manifest is not applied after a
	// newer one.
	mu sync.Mutex
	// fromFile is the generation of the file's latest manifest.
	fromFile int64
	// fromAPI is the generation of the API server's latest manifest, applied or refused. It is
	// noGeneration before the first.
	fromAPI int64
	// refused is the manifest that is reported as refused. It is nil if there is none.
	refused *v1alpha1.RefusedManifest
}

// Target runs a bridge.
type Target interface {
	// Apply applies a manifest. ofPod is false if the operator has made the manifest for another
	// pod template: the pod is being replaced, and the new pod runs the manifest. Apply returns an
	// error if the runner cannot run the manifest; it then changes nothing.
	Apply(next *Manifest, ofPod bool) error
	// SetRefused reports a manifest that is refused, or nil if there is none any more.
	SetRefused(r *v1alpha1.RefusedManifest)
}

// noGeneration is less than every generation.
const noGeneration = -1

// NewUpdates returns the updates of a target that runs a manifest. template is the hash of the
// pod template of the runner's pod. The running manifest can be for another template: the kubelet
// may mount an older ConfigMap, and it changes the file of a pod that is being replaced. If
// template is empty, because an earlier operator has made the pod or there is none, the running
// manifest is for the pod.
func NewUpdates(running *Manifest, template string, log *slog.Logger, target Target) *Updates {
	hash := running.Annotations[manifest.AnnotationTemplateHash]
	template = cmp.Or(template, hash)
	if template != hash {
		log.Warn("the manifest is for another pod of this bridge; the runner continues with it until it receives the manifest for its own pod", "generation", running.Generation)
	}
	return &Updates{
		target: target, template: template, log: log,
		fromFile: running.Generation, fromAPI: noGeneration,
	}
}

// File receives the manifest of the file, or the error if the file has no valid manifest.
func (u *Updates) File(next *Manifest, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		u.refuseLocked(err, "file", u.fromAPI+1)
		return
	}
	u.fromFile = next.Generation
	if next.Generation > u.fromAPI {
		u.applyLocked(next, "file")
	}
}

// ConfigMap receives the text of a manifest from the API server.
func (u *Updates) ConfigMap(text []byte) {
	next, err := parse(text)
	u.mu.Lock()
	defer u.mu.Unlock()
	applied := max(u.fromFile, u.fromAPI)
	switch {
	case err != nil:
		u.refuseLocked(err, "ConfigMap", applied)
		var refused *RefusedError
		if errors.As(err, &refused) {
			u.fromAPI = max(u.fromAPI, refused.Generation)
		}
	case next.Generation < applied:
		u.log.Warn("the manifest in the ConfigMap is older than the applied manifest and is ignored", "generation", next.Generation, "applied", applied)
	default:
		u.fromAPI = next.Generation
		u.applyLocked(next, "ConfigMap")
	}
}

func (u *Updates) applyLocked(next *Manifest, source string) {
	hash := next.Annotations[manifest.AnnotationTemplateHash]
	if err := u.target.Apply(next, hash == u.template); err != nil {
		u.refuseLocked(&RefusedError{Generation: next.Generation, TemplateHash: hash, Err: err}, source, next.Generation)
		return
	}
	if u.refused != nil && (u.fromAPI == noGeneration || next.Generation >= u.refused.Generation) {
		u.refused = nil
		u.target.SetRefused(nil)
	}
}

// refuseLocked reports a manifest that is refused, unless its generation is less than oldest, or
// it is for another pod.
func (u *Updates) refuseLocked(err error, source string, oldest int64) {
	r := &v1alpha1.RefusedManifest{Message: err.Error()}
	var refused *RefusedError
	if errors.As(err, &refused) {
		if refused.Generation < oldest || refused.TemplateHash != u.template {
			return
		}
		r.Generation, r.Message = refused.Generation, refused.Err.Error()
	}
	if u.refused != nil && *u.refused == *r {
		return
	}
	u.log.Error("the changed manifest is refused; the bridge continues with the previous manifest; correct the manifest", "source", source, "generation", r.Generation, "error", err)
	u.refused = r
	u.target.SetRefused(r)
}
