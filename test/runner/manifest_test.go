// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	manifestprotocol "github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

const (
	invalidManifests = "../manifests/invalid"
	sampleManifests  = "../../config/samples"
)

// refusal runs the runner with a manifest that it must refuse, and returns its standard error.
func refusal(t *testing.T, path string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), mqtttest.RunnerBinary(t), "--bridge", path, "--listen", "127.0.0.1:0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(eventTimeout, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() < 1 {
		t.Fatalf("the runner ended with %v, want an exit code above 0:\n%s", err, &stderr)
	}
	return stderr.String()
}

func TestManifest_Invalid_IsRefusedWithFieldValueAndRemedy(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: mqttbridge.io/v1alpha1\nkind: MQTTBridge\nmetadata: {name: x}\nspec:\n  local: {primary: {url: \"mqtt://a\"}}\n"
	for _, tc := range []struct {
		name, manifest string
		words          []string
	}{
		{"an unknown field", head + "  remote: {primary: {url: \"mqtt://b\"}, colour: red}\n  localToRemote: [{filter: x}]\n", []string{"spec.remote.colour", "correct its name or remove it", "bridge-runner check -f "}},
		{"an unknown scheme", head + "  remote: {primary: {url: \"http://b\"}}\n  localToRemote: [{filter: x}]\n", []string{"spec.remote.primary.url", "http://b", "mqtts://"}},
		{"nothing to forward", head + "  remote: {primary: {url: \"mqtt://b\"}}\n", []string{"spec.localToRemote", "remoteToLocal"}},
		{"a bound that is too large", head + "  remote: {primary: {url: \"mqtt://b\"}, failover: {connectTimeoutSeconds: 301}}\n  localToRemote: [{filter: x}]\n", []string{"spec.remote.failover.connectTimeoutSeconds", "301", "300"}},
		{"not a manifest", "hello", nil},
		{"an empty file", "", []string{"it is empty", "kind MQTTBridge"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bridge.yaml")
			must(t, os.WriteFile(path, []byte(tc.manifest), 0o600))
			stderr := refusal(t, path)
			for _, word := range append(tc.words, path) {
				if !strings.Contains(stderr, word) {
					t.Errorf("the runner does not name %q:\n%s", word, stderr)
				}
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		if stderr := refusal(t, "/no/such/bridge.yaml"); !strings.Contains(stderr, "/no/such/bridge.yaml") {
			t.Errorf("the runner does not name the file:\n%s", stderr)
		}
	})
}

// The first line of each manifest that the API server refuses contains the expected error: "#
// error: FIELD: PART OF THE MESSAGE".
func TestManifest_RefusedByAPIServer_IsRefusedByRunner(t *testing.T) {
	t.Parallel()
	for _, path := range yamlFiles(t, invalidManifests) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			must(t, err)
			first, _, _ := strings.Cut(string(data), "\n")
			expected, ok := strings.CutPrefix(first, "# error: ")
			if !ok {
				t.Fatalf("the first line is %q, want # error: FIELD: MESSAGE", first)
			}
			field, message, _ := strings.Cut(expected, ": ")
			stderr := refusal(t, path)
			for _, want := range []string{field, strings.TrimSpace(message)} {
				if !strings.Contains(stderr, want) {
					t.Errorf("the error of the runner does not contain %q:\n%s", want, stderr)
				}
			}
		})
	}
}

func TestManifest_Samples_AreAccepted(t *testing.T) {
	t.Parallel()
	for _, path := range yamlFiles(t, sampleManifests) {
		data, err := os.ReadFile(path)
		must(t, err)
		if !strings.Contains(string(data), "kind: MQTTBridge") {
			continue // kustomization.yaml
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			mqtttest.StartRunnerWith(t, path)
		})
	}
}

// A runner with an older image must run with the manifest of a newer operator.
func TestManifest_OfANewerOperator_StartsAndReportsIgnoredFields(t *testing.T) {
	t.Parallel()
	const of = "apiVersion: mqttbridge.io/v1alpha1\nkind: MQTTBridge\nmetadata: {name: x, annotations: {mqttbridge.io/manifest-version: \"%d\"}}\n" +
		"spec:\n  local: {primary: {url: \"mqtt://127.0.0.1:1\"}}\n  remote: {primary: {url: \"mqtt://127.0.0.1:2\"}, colour: red}\n  localToRemote: [{filter: x}]\n"
	path := filepath.Join(t.TempDir(), "bridge.yaml")
	must(t, os.WriteFile(path, fmt.Appendf(nil, of, manifestprotocol.Version), 0o600))
	r := mqtttest.StartRunnerWith(t, path)
	if got := r.Metrics().Sum("mqttbridge_ignored_fields"); got != 1 {
		t.Errorf("mqttbridge_ignored_fields is %v, want 1", got)
	}
	if log := r.Log(); !strings.Contains(log, "spec.remote.colour") {
		t.Errorf("the log does not name the ignored field:\n%s", log)
	}
	must(t, os.WriteFile(path, fmt.Appendf(nil, of, manifestprotocol.Version+1), 0o600))
	if stderr := refusal(t, path); !strings.Contains(stderr, "mqttbridge.io/manifest-version") || !strings.Contains(stderr, "spec.runner.image") {
		t.Errorf("the runner does not name the version and the remedy:\n%s", stderr)
	}
}

func yamlFiles(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	must(t, err)
	if len(paths) == 0 {
		t.Fatalf("%s contains no manifests", dir)
	}
	return paths
}
