// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"context"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// WatchInterval is the interval at which the runner checks whether manifests have changed.
const WatchInterval = 500 * time.Millisecond

// Watch calls changed with the manifest at path, or with the error if it cannot be loaded: once
// at the beginning, and after each change of the file, until the context ends.
func Watch(ctx context.Context, path string, changed func(*Manifest, error)) {
	ticker := time.NewTicker(WatchInterval)
	defer ticker.Stop()
	var seen fileVersion // none at first, because the file may have changed since the start
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if isNew, _ := seen.update(path); isNew { // a file that is missing is about to be replaced
			changed(Load(path))
		}
	}
}

// fileVersion identifies the content of a file or a directory without reading it. The zero value is the version
// of no file.
type fileVersion struct {
	info os.FileInfo
}

// update sets the version to the version of the file at path. isNew is true if it has changed.
// If there is no such file, the version stays.
func (v *fileVersion) update(path string) (isNew, exists bool) {
	info, err := os.Stat(path)
	if err != nil {
		return false, false
	}
	if v.info != nil && sameVersion(info, v.info) {
		return false, true
	}
	v.info = info
	return true, true
}

// sameVersion reports whether two descriptions are of the same version of the same file. A file
// that becomes readable is another version.
func sameVersion(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && a.Mode() == b.Mode()
}

// SameSettings reports whether two specs differ at most in the parts that do not change the
// [Settings]: the preferred servers, the settings of a deletion, and the settings of the pod. It
// ignores the level and the format of the log, too.
func SameSettings(a, b *v1alpha1.MQTTBridgeSpec) bool {
	x, y := *a, *b
	x.Local.PreferredServer, x.Remote.PreferredServer = y.Local.PreferredServer, y.Remote.PreferredServer
	x.DeletionPolicy, x.DeletionTimeoutSeconds = y.DeletionPolicy, y.DeletionTimeoutSeconds
	x.Runner, x.Suspend, x.ClassName = y.Runner, y.Suspend, y.ClassName
	return equality.Semantic.DeepEqual(x, y)
}
