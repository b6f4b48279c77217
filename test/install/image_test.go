// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The build stage of the Dockerfile has the files that .dockerignore lets through and the
// Dockerfile copies, and no others. Both programs have to build from them.
func TestImage_FilesThatTheDockerfileCopies_BuildBothPrograms(t *testing.T) {
	const root = "../.."
	dockerfile, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	ignore, err := os.ReadFile(filepath.Join(root, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	allowed := strings.Fields(string(ignore))
	if !slices.Contains(allowed, "*") || !slices.Contains(allowed, "**/*_test.go") {
		t.Fatalf("this test knows an ignore file that excludes everything and names exceptions: %q", allowed)
	}
	dir, copied := t.TempDir(), 0
	for line := range strings.Lines(string(dockerfile)) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "COPY" || strings.HasPrefix(words[1], "--") {
			continue
		}
		sources, to := words[1:len(words)-1], filepath.Join(dir, words[len(words)-1])
		for _, source := range sources {
			if !slices.Contains(allowed, "!"+source) {
				t.Errorf("the Dockerfile copies %s, which .dockerignore excludes", source)
			}
			target := to
			if !strings.HasSuffix(source, "/") { // of a directory, its content is copied
				target = filepath.Join(to, filepath.Base(source))
			}
			copyWithoutTests(t, filepath.Join(root, source), target)
			copied++
		}
	}
	if copied == 0 {
		t.Fatal("no COPY of the build stage was found")
	}
	for _, program := range []string{".", "./bridge-runner"} {
		build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", t.TempDir(), program)
		build.Dir = dir
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Errorf("building %s: %v\n%s", program, err, out)
		}
	}
}

// copyWithoutTests copies a file or a directory, and leaves out tests.
func copyWithoutTests(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
