// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"context"
	"log/slog"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// watchInterval is the interval at which Watch checks whether the file has changed.
const watchInterval = 500 * time.Millisecond

// Watch calls changed with the manifest at path: once at the beginning, and after each change of
// the file, until the context ends. It logs a manifest that it cannot load.
func Watch(ctx context.Context, path string, log *slog.Logger, changed func(*v1alpha1.MQTTBridge)) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	var seen os.FileInfo // nil at first, because the file may have changed since the start
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		info, err := os.Stat(path)
		if err != nil || seen != nil && os.SameFile(info, seen) && info.ModTime().Equal(seen.ModTime()) && info.Size() == seen.Size() {
			continue // unchanged, or missing: it is about to be replaced
		}
		seen = info
		next, err := Load(path)
		if err != nil {
			log.Error("the changed manifest is invalid and is ignored; the bridge continues with the previous manifest; correct the file", "file", path, "error", err)
			continue
		}
		changed(next)
	}
}

// needsRestart reports whether two specs differ in more than the preferred servers and the
// settings of a deletion.
func needsRestart(next, loaded *v1alpha1.MQTTBridgeSpec) bool {
	a, b := *next, *loaded
	a.Local.PreferredServer, a.Remote.PreferredServer = b.Local.PreferredServer, b.Remote.PreferredServer
	a.DeletionPolicy, a.DeletionTimeoutSeconds = b.DeletionPolicy, b.DeletionTimeoutSeconds
	return !equality.Semantic.DeepEqual(a, b)
}
