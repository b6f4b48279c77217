// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// hosted is a bridge that a host runs.
type hosted struct {
	*instance
	key     types.NamespacedName
	updates *config.Updates
	cancel  context.CancelFunc
	// done is closed when the bridge has ended and its series are removed.
	done chan struct{}
	// failure is why the deletion of the bridge is incomplete. It is nil if the bridge has not
	// ended in this way.
	failure atomic.Pointer[string]
}

// bridgeKey returns the namespace and the name of a bridge. They are parts of the paths of its
// files, so they must be valid names of Kubernetes. Without a namespace, it is default, as with
// kubectl.
func bridgeKey(m *config.Manifest) (types.NamespacedName, error) {
	key := types.NamespacedName{Namespace: cmp.Or(m.Namespace, metav1.NamespaceDefault), Name: m.Name}
	if problems := validation.IsDNS1123Label(key.Namespace); len(problems) > 0 {
		return key, fmt.Errorf("metadata.namespace: %q: %s", key.Namespace, strings.Join(problems, "; "))
	}
	if problems := validation.IsDNS1123Subdomain(key.Name); len(problems) > 0 {
		return key, fmt.Errorf("metadata.name: %q: %s", key.Name, strings.Join(problems, "; "))
	}
	return key, nil
}

// newHosted returns a bridge that is ready to start, or an error if the process cannot run the
// manifest.
func newHosted(m *config.Manifest, key types.NamespacedName, s setup) (*hosted, error) {
	i, err := newInstance(m, s)
	if err != nil {
		return nil, err
	}
	return &hosted{instance: i, key: key, updates: config.NewUpdates(m, "", i.log, i), cancel: func() {}, done: make(chan struct{})}, nil
}

// start runs the bridge in a goroutine of its own, until the context ends, stop is called, or the
// bridge is deleted. The bridge begins when before is closed; nil: at once.
func (b *hosted) start(ctx context.Context, h *host, before <-chan struct{}) {
	ctx, b.cancel = context.WithCancel(ctx)
	h.running.Go(func() {
		defer close(b.done)
		if before != nil {
			<-before
		}
		remove := h.registry.AddBridge(b.key.Namespace, b.key.Name, b.metrics)
		defer remove()
		defer b.seat.remove()
		defer b.traces.Apply(nil)
		defer report.FlushAsync(b.log, logTimeout)
		if ctx.Err() != nil {
			return
		}
		if _, err := b.run(ctx); err != nil {
			text := err.Error()
			b.failure.Store(&text)
			b.log.Error("the deletion of the bridge is incomplete; to continue it, change the file", "error", err)
		}
	})
}

// stop ends the bridge. It does not wait for the end.
func (b *hosted) stop() { b.cancel() }

// runs reports whether the file has a bridge that has not ended.
func (f *file) runs() bool {
	return f.bridge != nil && !isClosed(f.bridge.done)
}

// refusal returns why the present content of the file is not applied. It is empty if it is.
func (f *file) refusal() string {
	if f.problem != nil {
		return f.problem.Error()
	}
	if f.bridge == nil {
		return ""
	}
	if r := f.bridge.refused.Load(); r != nil {
		return r.Message
	}
	if failure := f.bridge.failure.Load(); failure != nil {
		return *failure
	}
	return ""
}

// clientIDs finds bridges that use the same client identifier with the same server. Only one
// goroutine uses it. It has the bridge of each key of manifest.ClientIDKeys.
type clientIDs map[string]types.NamespacedName

// set records the client identifiers of a bridge. It logs a warning about those that another
// bridge uses, as the operator does in the condition Degraded.
func (c clientIDs) set(key types.NamespacedName, m *config.Manifest, log *slog.Logger) {
	c.remove(key)
	for _, use := range manifest.ClientIDKeys(manifest.ClientIDs(m.MQTTBridge), key.Namespace) {
		other, shared := c[use]
		if shared {
			server, id, _ := strings.Cut(use, " ")
			log.Warn("two bridges use the same client identifier with the same server, which therefore ends the session of one when the other connects; set another clientID in one of these bridges, or remove it, because the default is different for each bridge",
				"clientID", id, "server", server, "bridge", key.String(), "other", other.String())
			continue
		}
		c[use] = key
	}
}

// remove forgets the client identifiers of a bridge.
func (c clientIDs) remove(key types.NamespacedName) {
	for use, owner := range c {
		if owner == key {
			delete(c, use)
		}
	}
}
