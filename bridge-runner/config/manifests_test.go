// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The manifests that the API server is tested with (test/crd).
func manifests(t *testing.T, kind string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "..", "test", "manifests", kind, "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	out := map[string]string{}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(path)] = string(raw)
	}
	return out
}

func TestValidate_ValidManifests_AreAccepted(t *testing.T) {
	for name, manifest := range manifests(t, "valid") {
		if _, err := Load(write(t, t.TempDir(), "b.yaml", manifest)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The API server's own messages about enumerations and bounds are worded otherwise.
var schemaWords = []string{"Unsupported value", "should be", "may not be", "must have", "spec.runner."}

func TestValidate_InvalidManifests_AreRefusedInTheWordsOfTheSchema(t *testing.T) {
	for name, manifest := range manifests(t, "invalid") {
		_, err := Load(write(t, t.TempDir(), "b.yaml", manifest))
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		first, _, _ := strings.Cut(manifest, "\n")
		_, want, _ := strings.Cut(strings.TrimPrefix(first, "# error: "), ": ")
		own := true
		for _, words := range schemaWords {
			own = own && !strings.Contains(first, words)
		}
		if own && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant: %s", name, err, want)
		}
	}
}
