// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"context"
	"log/slog"
	"os"
	"reflect"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// watchInterval is how often the manifest is looked at.
const watchInterval = 500 * time.Millisecond

// Watch calls changed with the annotations of the manifest at path, once and whenever
// the file has changed, until the context ends. The rest of a manifest is taken at the
// start only; where it changes that is logged, and so is a manifest that cannot be read.
func Watch(ctx context.Context, path string, loaded *v1alpha1.MQTTBridge, log *slog.Logger, changed func(annotations map[string]string)) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	var seen os.FileInfo // not that of now, which may be newer than what was loaded
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		info, err := os.Stat(path)
		if err != nil || seen != nil && os.SameFile(info, seen) && info.ModTime().Equal(seen.ModTime()) && info.Size() == seen.Size() {
			continue // where it is gone, it is about to be replaced
		}
		seen = info
		next, err := Load(path)
		if err != nil {
			log.Error("the manifest has changed and cannot be used; the bridge goes on as before", "error", err)
			continue
		}
		if !reflect.DeepEqual(next.Spec, loaded.Spec) {
			log.Warn("the manifest's spec has changed; restart the runner to take it over")
		}
		changed(next.Annotations)
	}
}
