// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The errors come before the demo changes the cluster.
func TestChoice_IncompleteSettings_NamesTheRemedy(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	const image = "registry.example:5000/mqttbridge-operator"
	for name, tt := range map[string]struct {
		image, path string
		want        []string
	}{
		"no image":          {"", dir, []string{"-context needs -operator-image"}},
		"image without tag": {image, dir, []string{image, "has no tag", ":dev"}},
		"empty tag":         {image + ":", dir, []string{image, "has no tag", ":dev"}},
		"no kubectl":        {image + ":dev", t.TempDir(), []string{"kubectl is missing", "PATH"}},
		"unknown context":   {image + ":dev", dir, []string{`"factory"`, "kubectl config get-contexts"}},
	} {
		t.Setenv("PATH", tt.path)
		t.Setenv("KUBECONFIG", filepath.Join(dir, "kubeconfig"))
		choice := Choice{Context: "factory", OperatorImage: tt.image}
		_, err := choice.Open(t.Context(), dir, t.Output())
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", name, err, want)
			}
		}
	}
}
