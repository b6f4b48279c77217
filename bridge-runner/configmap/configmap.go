// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package configmap watches the ConfigMap that holds the manifest of a runner, so that a change
// reaches the runner at once. The kubelet updates the mounted file up to about a minute later.
//
// It promises to deliver the current manifest after each connection to the API server, and
// each later one. If the API server cannot be reached, it tries again at a bounded rate.
//
// It does not read the manifest: package config decides whether a manifest is applied.
package configmap

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/kubeapi"
)

// retry has the pauses between two watches.
var retry = kubeapi.Retry{First: time.Second, Longest: 30 * time.Second}

// Watcher watches one ConfigMap. Its only right is to watch this ConfigMap.
type Watcher struct {
	object *kubeapi.Object
	name   string
	key    string
	log    *slog.Logger
}

// New returns a watcher of the ConfigMap's key that holds the manifest.
func New(cluster *rest.Config, namespace, name, key string, log *slog.Logger) (*Watcher, error) {
	object, err := kubeapi.New(cluster, retry, name, "api", "v1", "namespaces", namespace, "configmaps")
	if err != nil {
		return nil, err
	}
	return &Watcher{object: object, name: name, key: key, log: log}, nil
}

// Run calls changed with the manifest at the beginning of each watch and after each change,
// until the context ends. The first manifest of a watch is not older than the file.
func (w *Watcher) Run(ctx context.Context, changed func(manifest []byte)) {
	warned := false
	w.object.Follow(ctx, func(e kubeapi.Event) {
		if text, ok := w.manifest(e); ok {
			changed(text)
		}
	}, func(err error, lasting bool) {
		if lasting {
			warned = false
		}
		if err != nil && !warned {
			warned = true
			w.log.Warn("the ConfigMap with the manifest cannot be watched; the bridge continues to forward, and a changed manifest takes effect up to about a minute later, when the kubelet updates the file", "configMap", w.name, "error", err)
			return
		}
		w.log.Debug("the watch of the ConfigMap with the manifest has ended", "configMap", w.name, "error", err)
	})
}

// manifest returns the manifest in an event. If the ConfigMap has none, or was deleted, the runner
// continues with the previous manifest.
func (w *Watcher) manifest(e kubeapi.Event) (text []byte, ok bool) {
	var object struct {
		Data map[string]string `json:"data"`
	}
	if e.Type == watch.Deleted {
		return nil, false
	}
	if err := json.Unmarshal(e.Object, &object); err != nil {
		w.log.Warn("the ConfigMap with the manifest cannot be decoded; the bridge continues with the previous manifest", "configMap", w.name, "error", err)
		return nil, false
	}
	manifest, ok := object.Data[w.key]
	return []byte(manifest), ok
}
