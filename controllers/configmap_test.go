// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/configmap"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// runnersWatch is the watch of a bridge's ConfigMap by its runner.
type runnersWatch struct {
	t         *testing.T
	manifests chan string

	mu    sync.Mutex // guards conns
	conns []net.Conn
}

// watchAsRunner starts the runner's watch with the rights of the runner.
func watchAsRunner(t *testing.T, b *v1alpha1.MQTTBridge) *runnersWatch {
	t.Helper()
	w := &runnersWatch{t: t, manifests: make(chan string, 16)}
	config := asRunner(b.Namespace, b.Name)
	config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.conns = append(w.conns, conn)
		return conn, err
	}
	watcher, err := configmap.New(config, b.Namespace, childName(b.Name), manifestKey, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	go watcher.Run(t.Context(), func(manifest []byte) { w.manifests <- string(manifest) })
	return w
}

// await waits for a manifest that contains text.
func (w *runnersWatch) await(text string) {
	w.t.Helper()
	timeout := time.After(apiserver.Timeout)
	for {
		select {
		case manifest := <-w.manifests:
			if strings.Contains(manifest, text) {
				return
			}
		case <-timeout:
			w.t.Fatalf("no manifest with %q within %s", text, apiserver.Timeout)
		}
	}
}

// cut closes the connections to the API server.
func (w *runnersWatch) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range w.conns {
		_ = conn.Close()
	}
	w.conns = nil
}

func requestSwitch(t *testing.T, b *v1alpha1.MQTTBridge, server string) {
	t.Helper()
	update(t, b, func(b *v1alpha1.MQTTBridge) {
		b.Annotations = map[string]string{v1alpha1.AnnotationSwitchRemote: server}
	})
}

func TestConfigMap_SwitchRequested_ReachesTheRunnerWithinASecondWithoutANewPod(t *testing.T) {
	b, pod := forwardingBridge(t)
	awaitIdle(t, b)
	exists := func(*appsv1.Deployment) bool { return true }
	before := awaitDeployment(t, b, "the Deployment", exists)
	w := watchAsRunner(t, b)
	w.await("name: " + b.Name) // the current manifest comes first
	best := time.Hour          // of several attempts, because the machine may be busy
	for _, server := range []string{"a one", "b two", "a three"} {
		start := time.Now()
		requestSwitch(t, b, server)
		w.await(v1alpha1.AnnotationSwitchRemote + ": " + server)
		best = min(best, time.Since(start))
	}
	t.Logf("from a request to the runner in %s", best)
	if best > time.Second {
		t.Errorf("a request took %s to reach the runner", best)
	}
	if after := awaitDeployment(t, b, "the Deployment", exists); before.Generation != after.Generation {
		t.Error("the Deployment has changed")
	}
	if writes := operatorIO.matching("/pods/"+pod.Name, http.MethodPatch, http.MethodPut); len(writes) > 0 {
		t.Errorf("the operator changed pods: %v", writes)
	}
}

func TestConfigMap_ConnectionToAPIServerLost_IsWatchedAgain(t *testing.T) {
	b, _ := forwardingBridge(t)
	w := watchAsRunner(t, b)
	w.await("name: " + b.Name)
	w.cut()
	requestSwitch(t, b, "a")
	w.await(v1alpha1.AnnotationSwitchRemote + ": a")
}

func TestConfigMap_Manifest_ContainsTheGeneration(t *testing.T) {
	b, _ := forwardingBridge(t)
	w := watchAsRunner(t, b)
	w.await("generation: 1\n")
	update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Runner = &v1alpha1.Runner{Image: "registry.example/other:v1"} })
	w.await("generation: 2\n")
}
