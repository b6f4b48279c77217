// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package commands checks the commands of the documentation: a test runs the blocks of shell commands of each page,
// and each command of make and go exists, also inside a sentence, with its targets, variables, packages, tests and
// flags.
//
// Commands that need minutes or hours run with flags that shorten them, or are only checked.
package commands

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// tracked returns the paths of the files of the repository that match a pattern, without ignored files.
func tracked(t *testing.T, pattern string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "--cached", "--others", "--exclude-standard", "--", pattern)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	return strings.Fields(string(out))
}

// pages returns the paths of all Markdown files of the repository, except the changelog, which describes earlier
// versions, too.
func pages(t *testing.T) []string {
	t.Helper()
	names := slices.DeleteFunc(tracked(t, "*.md"), func(name string) bool { return name == "CHANGELOG.md" })
	if len(names) < 60 {
		t.Fatalf("only %d pages were found", len(names))
	}
	return names
}

// fence finds a block of code, with its language and its text.
var fence = regexp.MustCompile("(?ms)^ *```([a-z]*)\n(.*?\n) *```$")

// scripts returns the blocks of shell commands of a page.
func scripts(page string) (all []string) {
	for _, m := range fence.FindAllStringSubmatch(page, -1) {
		if m[1] == "sh" {
			all = append(all, m[2])
		}
	}
	return all
}

// commandsOf returns the commands of a script. A command that continues after a backslash is one command.
func commandsOf(script string) (all []string) {
	for line := range strings.Lines(strings.ReplaceAll(script, "\\\n", " ")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}

// inline finds code inside a sentence.
var inline = regexp.MustCompile("`([^`]+)`")

// inlineCode returns the code inside the sentences of a page, each as one line.
func inlineCode(page string) (all []string) {
	for _, m := range inline.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		all = append(all, strings.Join(strings.Fields(m[1]), " "))
	}
	return all
}

// environment is the environment without the variables of the make that runs the tests.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=")
	})
}

// sh runs a script in the root of the repository, and returns its output.
func sh(t *testing.T, script string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-e", "-u", "-o", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = root, environment()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, &out)
	}
	return out.String()
}
