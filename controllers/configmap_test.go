// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

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
func (w *runnersWatch) await(text string) *v1alpha1.MQTTBridge {
	w.t.Helper()
	timeout := time.After(apiserver.Timeout)
	for {
		select {
		case manifest := <-w.manifests:
			if strings.Contains(manifest, text) {
				out := &v1alpha1.MQTTBridge{}
				if err := yaml.Unmarshal([]byte(manifest), out); err != nil {
					w.t.Fatal(err)
				}
				return out
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

func prefer(t *testing.T, b *v1alpha1.MQTTBridge, preferred *v1alpha1.PreferredServer) *v1alpha1.MQTTBridge {
	t.Helper()
	return update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Remote.PreferredServer = preferred })
}

func TestConfigMap_PreferredServer_ReachesTheRunnerWithinASecondWithoutANewPod(t *testing.T) {
	b, pod := forwardingBridge(t)
	awaitIdle(t, b)
	exists := func(*appsv1.Deployment) bool { return true }
	before := awaitDeployment(t, b, "the Deployment", exists)
	w := watchAsRunner(t, b)
	w.await("name: " + b.Name) // the current manifest comes first
	best := time.Hour          // of several attempts, because the machine may be busy
	for _, preferred := range []*v1alpha1.PreferredServer{{Name: "b"}, {Name: "b", Force: ptr.To(true)}, {Name: "a"}, nil} {
		start := time.Now()
		b = prefer(t, b, preferred)
		got := w.await(fmt.Sprintf("generation: %d\n", b.Generation))
		best = min(best, time.Since(start))
		if want := b.Spec.Remote.PreferredServer; !reflect.DeepEqual(got.Spec.Remote.PreferredServer, want) {
			t.Errorf("the manifest of generation %d prefers %+v, want %+v", b.Generation, got.Spec.Remote.PreferredServer, want)
		}
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

func TestPreferredServer_UnknownName_StallsAndKeepsThePreviousManifest(t *testing.T) {
	b, _ := forwardingBridge(t)
	w := watchAsRunner(t, b)
	b = prefer(t, b, &v1alpha1.PreferredServer{Name: "b"})
	w.await("generation: 2\n")
	b = prefer(t, b, &v1alpha1.PreferredServer{Name: "c"})
	got := awaitCondition(t, b, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonInvalidSpec)
	const want = `spec.remote.preferredServer.name: Invalid value: "c": no server of this side has this name; set name to one of its servers (a, b), or remove preferredServer`
	if message := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionStalled).Message; !strings.Contains(message, want) {
		t.Errorf("Stalled says %q; want %q", message, want)
	}
	prefer(t, b, &v1alpha1.PreferredServer{Name: "a"})
	if p := w.await("generation: ").Spec.Remote.PreferredServer; p == nil || p.Name != "a" {
		t.Errorf("the next manifest prefers %+v", p)
	}
}

func TestConfigMap_ConnectionToAPIServerLost_IsWatchedAgain(t *testing.T) {
	b, _ := forwardingBridge(t)
	w := watchAsRunner(t, b)
	w.await("name: " + b.Name)
	w.cut()
	prefer(t, b, &v1alpha1.PreferredServer{Name: "a"})
	w.await("generation: 2\n")
}

func TestConfigMap_Manifest_ContainsTheGeneration(t *testing.T) {
	b, _ := forwardingBridge(t)
	w := watchAsRunner(t, b)
	w.await("generation: 1\n")
	update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Runner = &v1alpha1.Runner{Image: "registry.example/other:v1"} })
	w.await("generation: 2\n")
}
