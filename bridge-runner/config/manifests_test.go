// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// manifests returns the manifests of a kind, valid or invalid, by file name. The API server is
// tested with the same manifests (test/crd).
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

// schemaWords occur only in the API server's own messages, about enumerations and limits. The
// runner's messages have other words.
var schemaWords = []string{"Unsupported value", "should be", "may not be", "must have", "spec.runner."}

func TestValidate_InvalidManifests_RefusedWithMessagesOfSchema(t *testing.T) {
	for name, manifest := range manifests(t, "invalid") {
		_, err := Load(write(t, t.TempDir(), "b.yaml", manifest))
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		first, _, _ := strings.Cut(manifest, "\n")
		_, want, _ := strings.Cut(strings.TrimPrefix(first, "# error: "), ": ")
		sameMessage := true
		for _, words := range schemaWords {
			sameMessage = sameMessage && !strings.Contains(first, words)
		}
		if sameMessage && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant: %s", name, err, want)
		}
	}
}
