// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// fromFile returns the bridge of a file in the project, as if it had been applied.
func fromFile(t testing.TB, path ...string) *v1alpha1.MQTTBridge {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(append([]string{apiserver.Root()}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	b := &v1alpha1.MQTTBridge{}
	if err := yaml.UnmarshalStrict(raw, b); err != nil {
		t.Fatal(err)
	}
	b.Namespace, b.UID = "default", "a-uid"
	return b
}

// golden compares a text with a golden file, or writes the file if the flag -update is set.
func golden(t *testing.T, got, advice string, path ...string) {
	t.Helper()
	file := filepath.Join(append([]string{"testdata"}, path...)...)
	if *updateGolden {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the result differs from %s; %s (go test -run GoldenFiles -update writes it):\n%s", file, advice, got)
	}
}

// withHandOver requests a hand-over.
func withHandOver(b *v1alpha1.MQTTBridge, request string) *v1alpha1.MQTTBridge {
	b.Annotations = map[string]string{manifest.AnnotationHandOver: request}
	return b
}

// If the hash changes, an upgrade of the operator replaces the pods of all bridges at once. If a
// manifest changes, all runners apply it.
func TestManifest_SamplesAndFullBridge_MatchGoldenFiles(t *testing.T) {
	samples := filepath.Join("config", "samples")
	for name, b := range map[string]*v1alpha1.MQTTBridge{
		"sample":      fromFile(t, samples, "mqttbridge_v1alpha1_mqttbridge.yaml"),
		"sample-rich": fromFile(t, samples, "mqttbridge_v1alpha1_mqttbridge_rich.yaml"),
		"everything":  everything(t),
		"sample-two":  withHandOver(fromFile(t, samples, "mqttbridge_v1alpha1_mqttbridge_two_runners.yaml"), "now"),
	} {
		t.Run(name, func(t *testing.T) {
			rendered, err := runnerManifest(b, "a-template-hash")
			if err != nil {
				t.Fatal(err)
			}
			spec, err := podSpecHash(b)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, fmt.Sprintf("# pod spec hash: %s\n", spec)+rendered, "it must change only if the API changes", "manifest-"+name+".yaml")
			assertRunnerAccepts(t, b, rendered)
		})
	}
}

// assertRunnerAccepts checks that the runner reads a rendered manifest as the same bridge, and
// resolves its defaults.
func assertRunnerAccepts(t *testing.T, b *v1alpha1.MQTTBridge, rendered string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), manifestKey)
	if err := os.WriteFile(path, []byte(rendered), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Load(path)
	if err != nil {
		t.Fatalf("the runner refuses the manifest: %v", err)
	}
	got, want := loaded.Spec, b.WithDefaults().Spec
	got.Runner, want.Runner, got.Buffer.Disk, want.Buffer.Disk = nil, nil, nil, nil // a part of them is not passed
	want.ClassName = ""
	want.Replicas, want.Standby = got.Replicas, got.Standby // the runner has arguments for them
	// These are only passed when the bridge is being deleted.
	want.DeletionPolicy, want.DeletionTimeoutSeconds = got.DeletionPolicy, got.DeletionTimeoutSeconds
	if loaded.Name != b.Name || loaded.Namespace != b.Namespace || !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("the runner reads another bridge:\n%+v\nwant\n%+v", got, want)
	}
	if len(loaded.Ignored) > 0 {
		t.Errorf("the runner ignores %q", loaded.Ignored)
	}
	if !strings.Contains(rendered, "mqttbridge.io/manifest-version: \"1\"") {
		t.Error("the manifest does not have the version of the protocol")
	}
}

// Another text would be a change of the ConfigMap of each bridge.
func TestManifest_Bridges_IsTheTextOfEarlierVersions(t *testing.T) {
	for name, b := range allBridges(t) {
		for _, deleted := range []*metav1.Time{nil, {Time: epoch}} {
			b.DeletionTimestamp = deleted
			got, err := runnerManifest(b, "a-hash")
			if err != nil {
				t.Fatal(err)
			}
			want, err := yaml.Marshal(map[string]any{
				"apiVersion": "mqttbridge.io/v1alpha1",
				"kind":       "MQTTBridge",
				"metadata": metav1.ObjectMeta{
					Name: b.Name, Namespace: b.Namespace, Generation: b.Generation, DeletionTimestamp: deleted,
					Annotations: map[string]string{"mqttbridge.io/manifest-version": "1", "mqttbridge.io/template-hash": "a-hash"},
				},
				"spec": runnerSpec(b),
			})
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s: the manifest is\n%s\nwant\n%s", name, got, want)
			}
		}
	}
}
