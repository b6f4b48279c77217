// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// The API server accepts each manifest and each Secret that bridge-runner import makes of its
// examples.
func TestImports_ManifestsOfExamples_AreAccepted(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(apiserver.Root(), "bridge-runner", "importer", "testdata", "*", "*.yaml"))
	if err != nil || len(files) < 60 {
		t.Fatalf("found %d imported manifests: %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(data), "\n---\n") {
			u := parse(t, document)
			if err := submit(t, u); err != nil {
				t.Errorf("%s: %s %s: %v", file, u.GetKind(), u.GetName(), err)
			}
		}
	}
}
