// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// quickCase is the case that the shortened commands with QUICK=1 measure, and fullCase the case of the others. It has no
// target, so that it has as many rounds as the flag says.
const (
	quickCase = "QoS 1, 128 B, 3.1.1, plain"
	fullCase  = "QoS 1, 1 KiB, 3.1.1, plain"
)

// needMosquitto skips the test on a machine without the program that make bench compares with.
func needMosquitto(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("mosquitto"); err != nil {
		t.Skip("the bench compares with the program mosquitto, which this machine does not have")
	}
}

// commandsStarting returns the commands of a page with a beginning, without comments.
func commandsStarting(t *testing.T, page, beginning string) (found []string) {
	t.Helper()
	comment := regexp.MustCompile(`\s+# .*$`)
	for _, script := range scripts(read(t, page)) {
		for _, command := range commandsOf(script) {
			if strings.HasPrefix(command, beginning) {
				found = append(found, comment.ReplaceAllString(command, ""))
			}
		}
	}
	return found
}

// shortened returns a command of make bench with flags that shorten it. Later flags replace earlier ones.
func shortened(t *testing.T, command, flags string) string {
	t.Helper()
	before, after, hasFlags := strings.Cut(command, ` BENCH_FLAGS="`)
	if !hasFlags {
		return command + ` BENCH_FLAGS="` + flags + `"`
	}
	own, ok := strings.CutSuffix(after, `"`)
	if !ok {
		t.Fatalf("%s: BENCH_FLAGS is not at the end", command)
	}
	return before + ` BENCH_FLAGS="` + own + " " + flags + `"`
}

func TestPerformancePage_Bench_MeasuresACase(t *testing.T) {
	needMosquitto(t)
	const page, figures = "docs/performance.md", "docs/performance.json"
	committed := read(t, page) + read(t, figures)
	dir := t.TempDir()
	rendered, written := filepath.Join(dir, "performance.md"), filepath.Join(dir, "performance.json")
	if err := os.WriteFile(rendered, []byte(read(t, page)), 0o600); err != nil {
		t.Fatal(err)
	}
	commands := commandsStarting(t, page, "make bench")
	if len(commands) < 4 {
		t.Fatalf("%s has only the commands %q", page, commands)
	}
	for _, command := range commands {
		if strings.HasSuffix(command, " BENCH_FLAGS=-h") {
			if out := sh(t, command); !strings.Contains(out, "-rounds") {
				t.Errorf("%s prints\n%s", command, out)
			}
			continue
		}
		measured, files := quickCase, ""
		if !strings.Contains(command, "QUICK=1") { // it writes the page and the figures
			measured, files = fullCase, " -out="+written+" -render="+rendered
		}
		flags := "-rounds=1 -length=100ms -cases='" + measured + "'" + files
		out := sh(t, shortened(t, strings.ReplaceAll(command, "bin/other", "bin/bridge-runner"), flags))
		bridges := []string{"runner", "mosquitto"}
		if strings.Contains(command, "-only=runner") {
			bridges = bridges[:1]
		}
		for _, bridge := range bridges {
			if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(measured) + `: ` + bridge + `, round 1: [1-9]\d* msg/s`).MatchString(out) {
				t.Errorf("%s has not measured %s:\n%s", command, bridge, out)
			}
		}
	}
	var report struct {
		Measurements []struct{ Bridge string }
	}
	data, err := os.ReadFile(written)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &report); err != nil || len(report.Measurements) == 0 {
		t.Errorf("make bench writes %d measurements: %v", len(report.Measurements), err)
	}
	tables, err := os.ReadFile(rendered)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^\| QoS 1, 1 KiB \| \d+ / \d+ = `).Match(tables) || string(tables) == read(t, page) {
		t.Errorf("make bench has not written the tables:\n%s", tables)
	}
	if read(t, page)+read(t, figures) != committed {
		t.Error("the test has changed the committed figures")
	}
}

// The benchmarks of one package run once, and benchstat compares them.
func TestPerformancePage_Benchmarks_AreCompared(t *testing.T) {
	dir := t.TempDir()
	short := strings.NewReplacer("./bridge-runner/...", "./bridge-runner/packet", "-count=10 ", "-count=1 -benchtime=1x ",
		"-count=6 ", "-count=1 -benchtime=1x ", "old.txt", dir+"/old.txt", "new.txt", dir+"/new.txt")
	commands := append(commandsStarting(t, "docs/performance.md", "go test -run="), commandsStarting(t, "docs/performance.md", "go tool ")...)
	if len(commands) != 4 {
		t.Fatalf("the page has the commands %q", commands)
	}
	for _, command := range commands {
		out := sh(t, short.Replace(command))
		want := "BenchmarkHandshake"
		switch {
		case strings.Contains(command, " > "):
			continue // benchstat reads the file
		case strings.Contains(command, "benchstat"):
			want = "old.txt"
		}
		if !strings.Contains(out, want) {
			t.Errorf("%s: the output has no %q:\n%s", command, want, out)
		}
	}
}

// hack/scale measures 200 bridges in its own test. Here, make passes it the flags of the page.
func TestScalePage_MakeScale_ListsTheFlags(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("the test needs an API server: run `make test`, or set KUBEBUILDER_ASSETS as CONTRIBUTING.md describes")
	}
	commands := commandsStarting(t, "docs/scale.md", "make scale")
	if len(commands) < 3 {
		t.Fatalf("the page has only the commands %q", commands)
	}
	for _, command := range commands {
		if !strings.HasSuffix(command, " SCALE_FLAGS=-h") {
			command += " SCALE_FLAGS=-h"
		}
		if out := sh(t, command); !strings.Contains(out, "number of bridges") {
			t.Errorf("%s prints\n%s", command, out)
		}
	}
}

func TestContributingPage_MakeHelp_ListsTheTargets(t *testing.T) {
	help := sh(t, "make help")
	checked := 0
	for _, command := range commandsStarting(t, "CONTRIBUTING.md", "make ") {
		checked++
		if name := splitWords(command)[1]; !regexp.MustCompile(`(?m)^  (?:\x1b\[36m)?` + name + ` `).MatchString(help) {
			t.Errorf("make help does not list %s", name)
		}
	}
	if checked < 10 {
		t.Errorf("only %d targets were found", checked)
	}
}
