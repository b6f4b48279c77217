// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

var update = flag.Bool("update", false, "write the tables of docs/flags.md instead of comparing with them")

// helpOfFlag finds a flag in the help of the operator, which package flag writes, and of the runner: its name, its
// type and the lines of its description.
var helpOfFlag = regexp.MustCompile(`(?m)^ {2}--?([a-z-]+)(?: (\S+))?(?: {2,}|\n)((?:.*\n)(?:(?: {4}\t| {7,}).*\n)*)`)

// inMarkdown escapes the characters that have a meaning in a table of Markdown.
var inMarkdown = strings.NewReplacer("|", `\|`, "*", `\*`, "<", "&lt;")

// flagTable returns the table of the flags of a program.
func flagTable(t *testing.T, program string) string {
	t.Helper()
	help, err := exec.CommandContext(t.Context(), program, "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("%s --help: %v\n%s", program, err, help)
	}
	var b strings.Builder
	b.WriteString("| flag | description |\n|---|---|\n")
	flags := helpOfFlag.FindAllStringSubmatch(string(help), -1)
	if len(flags) < 10 {
		t.Fatalf("%s --help has only %d flags:\n%s", program, len(flags), help)
	}
	for _, m := range flags {
		value := ""
		if m[2] != "" {
			value = " " + strings.ToUpper(m[2])
		}
		fmt.Fprintf(&b, "| `--%s%s` | %s |\n", m[1], value, inMarkdown.Replace(strings.Join(strings.Fields(m[3]), " ")))
	}
	return b.String()
}

func TestFlags_TablesOfThePage_AreTheHelpOfThePrograms(t *testing.T) {
	manager := filepath.Join(t.TempDir(), "manager")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", manager, ".")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the operator: %v\n%s", err, out)
	}
	const name = "docs/flags.md"
	page := read(t, name)
	head, rest, ok := strings.Cut(page, "## Operator\n")
	if !ok {
		t.Fatalf("%s has no section Operator", name)
	}
	_, runnerText, _ := strings.Cut(rest, "## Runner\n")
	operatorText, _, _ := strings.Cut(rest, "## Runner\n")
	text := func(section string) string { before, _, _ := strings.Cut(section, "| flag |"); return before }
	want := head + "## Operator\n" + text(operatorText) + flagTable(t, manager) + "\n## Runner\n" + text(runnerText) + flagTable(t, mqtttest.RunnerBinary(t))
	if *update {
		if err := os.WriteFile(filepath.Join(root, name), []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if page != want {
		t.Errorf("%s differs from the help of the programs; run go test ./test/docs -run TestFlags -update, and commit the result", name)
	}
}
