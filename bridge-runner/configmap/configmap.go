// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package configmap watches the ConfigMap that holds the manifest of a runner, so that a change
// reaches the runner at once. The kubelet updates the mounted file up to about a minute later.
//
// It promises to deliver the current manifest after each connection to the API server, and
// each later one. If the API server cannot be reached, it tries again at a bounded rate.
//
// It sends one GET request with client-go's transport and decodes the answer itself, because a
// typed client would double the runner's memory. It does not read the manifest: package config
// decides whether a manifest is applied.
package configmap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

const (
	// firstRetry is the pause before the next attempt after a watch that lasted for at least
	// longestRetry. The API server ends each watch after about an hour.
	firstRetry = time.Second
	// longestRetry is the longest pause. The pause doubles after each watch that ended earlier.
	longestRetry = 30 * time.Second
	// maxErrorBytes is the length of the part of an error answer that is logged, in bytes.
	maxErrorBytes = 1024
)

// Watcher watches one ConfigMap. Its only right is to watch this ConfigMap.
type Watcher struct {
	client *http.Client
	url    string
	name   string
	key    string
	log    *slog.Logger
}

// New returns a watcher of the ConfigMap's key that holds the manifest.
func New(cluster *rest.Config, namespace, name, key string, log *slog.Logger) (*Watcher, error) {
	client, err := rest.HTTPClientFor(cluster)
	if err != nil {
		return nil, fmt.Errorf("connecting to the API server: %w", err)
	}
	path, err := url.JoinPath(cluster.Host, "api", "v1", "namespaces", namespace, "configmaps")
	if err != nil {
		return nil, fmt.Errorf("making the URL of the API server: %w", err)
	}
	// Without a resourceVersion, the API server first sends the current ConfigMap, from a
	// consistent read. So each watch begins with a manifest that is not older than the file.
	query := url.Values{"watch": {"true"}, "fieldSelector": {"metadata.name=" + name}}
	return &Watcher{client: client, url: path + "?" + query.Encode(), name: name, key: key, log: log}, nil
}

// Run calls changed with the manifest at the beginning of each watch and after each change,
// until the context ends.
func (w *Watcher) Run(ctx context.Context, changed func(manifest []byte)) {
	pause, warned := firstRetry, false
	for ctx.Err() == nil {
		started := time.Now()
		err := w.watch(ctx, changed)
		if time.Since(started) >= longestRetry {
			pause, warned = firstRetry, false
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !warned:
			warned = true
			w.log.Warn("the ConfigMap with the manifest cannot be watched; the bridge continues to forward, and a changed manifest takes effect up to about a minute later, when the kubelet updates the file", "configMap", w.name, "error", err)
		default:
			w.log.Debug("the watch of the ConfigMap with the manifest has ended", "configMap", w.name, "error", err)
		}
		select {
		case <-time.After(jitter(pause)):
		case <-ctx.Done():
		}
		pause = min(2*pause, longestRetry)
	}
}

// jitter returns a random duration from one to two times d, so that the runners do not all
// return to a restarted API server at the same time.
func jitter(d time.Duration) time.Duration {
	return d + rand.N(d) //nolint:gosec // spreads load, and protects nothing
}

// event is the part of a watch event that the runner needs. Object is a Status if Type is
// ERROR, otherwise a ConfigMap.
type event struct {
	Type   watch.EventType `json:"type"`
	Object struct {
		Data    map[string]string `json:"data"`
		Message string            `json:"message"`
	} `json:"object"`
}

// watch makes one request and reads its events until the API server or the network ends it. A
// regular end is no error.
func (w *Watcher) watch(ctx context.Context, changed func(manifest []byte)) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url, http.NoBody)
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := w.client.Do(req)
	if err != nil {
		return fmt.Errorf("watching the ConfigMap: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
		return fmt.Errorf("the API server answers %s: %s", resp.Status, text)
	}
	for decoder := json.NewDecoder(resp.Body); ; {
		var e event
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading the events of the ConfigMap: %w", err)
		}
		switch e.Type {
		case watch.Added, watch.Modified:
			if text, ok := e.Object.Data[w.key]; ok {
				changed([]byte(text))
			}
		case watch.Error:
			return fmt.Errorf("the API server ends the watch: %s", e.Object.Message)
		case watch.Deleted, watch.Bookmark:
			// The runner continues with the previous manifest.
		}
	}
}
