// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"log/slog"
	"sync"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// Updates receives the manifests that the runner finds while it runs, and applies those that
// are not older than the applied one. They come from two sources: the file, and in a cluster
// also the ConfigMap on the API server. The kubelet copies the ConfigMap to the file up to
// about a minute later, so that the file may be older; the file is newer if the runner could
// not watch the ConfigMap.
//
// A manifest is older if its metadata.generation is lower. At the same generation, the API
// server's manifest has priority. Without a cluster, each change of the file is applied.
type Updates struct {
	running *v1alpha1.MQTTBridge // the manifest that the runner started with
	changed func(next *v1alpha1.MQTTBridge, same bool)
	log     *slog.Logger

	// mu is held while changed runs, so that an older manifest is not applied after a newer
	// one.
	mu sync.Mutex
	// fromFile is the generation of the file's latest manifest.
	fromFile int64
	// fromAPI is the generation of the API server's latest manifest that was applied. It is
	// noGeneration before the first.
	fromAPI int64
}

// noGeneration is less than every generation.
const noGeneration = -1

// NewUpdates returns the updates of a runner that started with the manifest running. It calls
// changed with each manifest to apply. Only some settings can be applied to a running process;
// Updates logs changes of the others. same is true if, after changed, the runner runs the
// manifest: the manifest differs from running in no other setting, and the operator has made
// it for the same pod template. Otherwise, a restart or a new pod applies the manifest.
func NewUpdates(running *v1alpha1.MQTTBridge, log *slog.Logger, changed func(next *v1alpha1.MQTTBridge, same bool)) *Updates {
	return &Updates{running: running, changed: changed, log: log, fromFile: running.Generation, fromAPI: noGeneration}
}

// File receives a manifest from the file.
func (u *Updates) File(next *v1alpha1.MQTTBridge) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fromFile = next.Generation
	if next.Generation > u.fromAPI {
		u.applyLocked(next, "file")
	}
}

// ConfigMap receives the text of a manifest from the API server.
func (u *Updates) ConfigMap(text []byte) {
	next, _, err := parse(text)
	if err != nil {
		u.log.Error("the changed manifest in the ConfigMap is invalid and is ignored; the bridge continues with the previous manifest", "error", err)
		return
	}
	next = next.WithDefaults()
	u.mu.Lock()
	defer u.mu.Unlock()
	if next.Generation < max(u.fromFile, u.fromAPI) {
		u.log.Warn("the manifest in the ConfigMap is older than the applied manifest and is ignored", "generation", next.Generation, "applied", max(u.fromFile, u.fromAPI))
		return
	}
	u.fromAPI = next.Generation
	u.applyLocked(next, "ConfigMap")
}

func (u *Updates) applyLocked(next *v1alpha1.MQTTBridge, source string) {
	restart := needsRestart(&next.Spec, &u.running.Spec)
	if restart {
		u.log.Warn("the spec of the manifest has changed; it is applied when the runner restarts", "source", source, "generation", next.Generation)
	}
	const template = manifest.AnnotationTemplateHash
	u.changed(next, !restart && next.Annotations[template] == u.running.Annotations[template])
}
