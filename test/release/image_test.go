// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

func TestSnapshot_Image_HasBothProgramsForEachPlatform(t *testing.T) {
	s := built(t)
	for platform, program := range imagePlatforms() {
		t.Run(program, func(t *testing.T) {
			dir := filepath.Join(s.images, strings.ReplaceAll(platform, "/", "-"))
			data, err := os.ReadFile(filepath.Join(dir, "image.json"))
			if err != nil {
				t.Fatal(err)
			}
			var img image
			if err := json.Unmarshal(data, &img); err != nil {
				t.Fatal(err)
			}
			if img.User != "65532:65532" || !slices.Equal(img.Entrypoint, []string{"/manager"}) {
				t.Errorf("the image has the user %q and the entry point %q", img.User, img.Entrypoint)
			}
			if img.Labels["org.opencontainers.image.version"] != s.Version || img.Labels["org.opencontainers.image.revision"] != s.Commit {
				t.Errorf("the labels are %q", img.Labels)
			}
			if len(img.Tags) != 1 || !strings.HasPrefix(img.Tags[0], "ghcr.io/mqttbridge/mqttbridge-operator:"+s.Version) {
				t.Errorf("the tags of the snapshot, a version with a suffix, are %q", img.Tags)
			}
			for _, name := range []string{"manager", "bridge-runner"} {
				checkProgram(t, filepath.Join(dir, "files", name), program)
			}
		})
	}
	entries, err := os.ReadDir(s.images)
	if err != nil || len(entries) != len(imagePlatforms()) {
		t.Errorf("%d images and %v; want %d", len(entries), err, len(imagePlatforms()))
	}
}

// checkProgram checks that a program of the image is for a platform, and runs it if it is for this one.
func checkProgram(t *testing.T, path, platform string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := platformOf(data); err != nil || got != platform {
		t.Errorf("%s is for %q: %v", path, got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o111 != 0o111 {
		t.Errorf("%s cannot be executed by all users: %v, %v", path, info.Mode(), err)
	}
	if platform == runtime.GOOS+"_"+runtime.GOARCH {
		if out, err := exec.CommandContext(t.Context(), path, "--version").CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
}

// The image of a release and the image that `make docker-build` builds have the same base, user, entry
// point and paths.
func TestDockerfiles_LastStages_AreTheSame(t *testing.T) {
	last := func(name string) (instructions []string) {
		data, err := os.ReadFile(filepath.Join(apiserver.Root(), name))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			words := strings.Fields(line)
			if len(words) == 0 || words[0] == "ARG" || strings.HasPrefix(line, "#") {
				continue
			}
			if words[0] == "FROM" {
				instructions = nil
			}
			if words[0] == "COPY" {
				words = slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "--") })
				for i, w := range words[1 : len(words)-1] {
					words[i+1] = filepath.Base(w)
				}
			}
			instructions = append(instructions, strings.Join(words, " "))
		}
		return instructions
	}
	development, release := last("Dockerfile"), last("Dockerfile.release")
	if !slices.Equal(development, release) || len(release) != 4 {
		t.Errorf("Dockerfile ends with\n%q\nand Dockerfile.release with\n%q", development, release)
	}
}
