// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// makeWithout returns the output of make with a PATH that contains only some programs and a program
// go that prints its version. An empty version is no program go.
func makeWithout(t *testing.T, goVersion string, args ...string) string {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{"awk", "bash", "env", "id", "nice", "uname"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	if goVersion != "" {
		script := "#!/usr/bin/env bash\necho go version " + goVersion + " linux/amd64\n"
		if err := os.WriteFile(filepath.Join(bin, "go"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program, err := exec.LookPath("make")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append([]string{"--directory=" + root}, args...)...)
	cmd.Env = []string{"PATH=" + bin}
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("make %s succeeded with the program go %q", strings.Join(args, " "), goVersion)
	}
	return string(out)
}

// The first commands of a newcomer name the version of Go that they need, and its download page.
func TestMake_MissingOrOldGo_NamesTheRemedy(t *testing.T) {
	module, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(module), "\ngo 1.")
	text, _, _ = strings.Cut(text, ".")
	minor, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	remedy := fmt.Sprintf("install Go 1.%d or later", minor)
	for _, target := range []string{"try", "runner", "build", "plugin", "demo", "test", "lint"} {
		for _, version := range []string{"", "go1.19.8", fmt.Sprintf("go1.%d.3", minor-1)} {
			out := makeWithout(t, version, target)
			if !strings.Contains(out, remedy) || !strings.Contains(out, version) {
				t.Errorf("make %s with the program go %q does not name the version and the remedy:\n%s", target, version, out)
			}
			if strings.Contains(out, "Building") {
				t.Errorf("make %s with the program go %q began to build:\n%s", target, version, out)
			}
		}
	}
}

// A user without root gets the answer at once, and not after the build of the demo.
func TestMakeDemo_WithoutRootOrContext_RefusesBeforeTheBuild(t *testing.T) {
	out := makeWithout(t, "go1.26.0", "demo", "LOCAL_CLUSTER=")
	for _, remedy := range []string{"as root", "CONTEXT=", "make try"} {
		if !strings.Contains(out, remedy) {
			t.Errorf("make demo does not mention %q:\n%s", remedy, out)
		}
	}
	if strings.Contains(out, "go run") {
		t.Errorf("make demo began to build:\n%s", out)
	}
}

// A container with the checkout as a volume, or root after su, is another user than the owner of the checkout. git then
// refuses to read the checkout.
func TestMake_CheckoutOfAnotherUser_BuildsWithoutTheCommit(t *testing.T) {
	dir := t.TempDir()
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"Makefile":              string(makefile),
		"go.mod":                "module example\n\ngo 1.26.0\n",
		"bridge-runner/main.go": "package main\n\nfunc main() {}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git := append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	for _, args := range [][]string{{"init"}, {"add", "."}, {"-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "--message=x"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Env = dir, git
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
	}
	cmd := exec.Command("make", "--directory="+dir, "runner")
	cmd.Env = slices.Concat(git, []string{"GIT_TEST_ASSUME_DIFFERENT_OWNER=1", "GOENV=off", "GOFLAGS="})
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("make runner: %v\n%s", err, out)
	}
}

// The project builds in a directory whose path contains a space.
func TestMake_DirectoryWithSpaces_IsQuoted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with space")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "Makefile"), makefile, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"try", "plugin", "lint", "manifests", "chart", "bin/cyclonedx-gomod"} {
		out, _ := exec.Command("make", "--directory="+dir, "--dry-run", target).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			before, _, found := strings.Cut(line, dir)
			if found && strings.Count(before, `"`)%2 == 0 && !strings.HasPrefix(line, "make") {
				t.Errorf("make %s does not quote the directory:\n%s", target, line)
			}
		}
	}
}
