// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// With the archive and the commands of the page's section Files, each path of the page exists.
func TestEdgePage_Archive_HasTheFilesOfThePage(t *testing.T) {
	built(t)
	page, err := os.ReadFile(filepath.Join(apiserver.Root(), "docs", "guides", "edge.md"))
	if err != nil {
		t.Fatal(err)
	}
	command := documentedIn(t, "docs/guides/edge.md", "Files")[0]
	dir := t.TempDir()
	run(t, "cp dist/bridge-runner_*_linux_amd64.tar.gz "+dir+" && cd "+dir+"\n"+command+"\nbin/bridge-runner --version")

	paths := regexp.MustCompile(`config/edge/[\w.-]+\w`).FindAllString(string(page), -1)
	slices.Sort(paths)
	paths = slices.Compact(paths)
	if len(paths) < 4 {
		t.Fatalf("the page names only %q", paths)
	}
	for _, path := range paths {
		want, err := os.ReadFile(filepath.Join(apiserver.Root(), path))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, path)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s of the archive is not the file of the repository: %v", path, err)
		}
	}
	for _, platform := range programs()["bridge-runner"] {
		files := open(t, built(t).archive("bridge-runner", platform))
		for _, path := range paths {
			if files[path] == nil {
				t.Errorf("the archive for %s has no %s", platform, path)
			}
		}
	}
}
