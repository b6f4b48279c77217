// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// The API server is tested with the same manifests (test/crd).
func TestUnforwardable_InvalidManifests_RefusedWithMessagesOfSchema(t *testing.T) {
	files, err := filepath.Glob("../../test/manifests/invalid/dead-letter-*.yaml")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d manifests: %v", len(files), err)
	}
	for _, file := range files {
		manifest, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(manifest), "\n")
		name, words, _ := strings.Cut(strings.TrimPrefix(first, "# error: "), ": ")
		_, err = Load(file)
		if err == nil || !strings.Contains(err.Error(), name+": ") || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
	}
}

func TestUnforwardable_Default_DropsWithoutDeadLetters(t *testing.T) {
	b, err := Load(write(t, t.TempDir(), "b.yaml", minimal))
	if err != nil {
		t.Fatal(err)
	}
	if u := b.Spec.Delivery.Unforwardable; *u.Policy != v1alpha1.UnforwardableDrop || u.DeadLetter != nil {
		t.Errorf("default: %+v", u)
	}
}
