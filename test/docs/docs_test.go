// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package docs checks the documentation against the code: it must explain every reason that a
// condition can have, and its links must point to existing files.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestReasons_ConditionsAndEvents_AreExplained(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "api", "v1alpha1", "reasons.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	concepts, troubleshooting := read(t, "docs/concepts.md"), read(t, "docs/troubleshooting.md")
	checked := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		name := spec.Names[0].Name
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		text, where := concepts, "docs/concepts.md"
		if strings.HasPrefix(name, "Reason") {
			text, where = troubleshooting, "docs/troubleshooting.md"
		}
		if !strings.Contains(text, "`"+value+"`") {
			t.Errorf("%s does not explain %s", where, value)
		}
		checked++
		return true
	})
	if checked < 30 {
		t.Errorf("only %d constants were found", checked)
	}
}

func TestLinks_RelativeTargets_Exist(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md"))
	link := regexp.MustCompile(`\]\(([^)#]+)?(#[^)]+)?\)`)
	checked := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(data), -1) {
			if m[1] == "" || strings.Contains(m[1], "://") {
				continue
			}
			checked++
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s: the link target %s does not exist", file, m[1])
			}
		}
	}
	if checked == 0 {
		t.Error("no link was found in the documentation")
	}
}
