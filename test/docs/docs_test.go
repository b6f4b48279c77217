// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package docs checks the documentation against the code: it must explain every reason that a
// condition can have, and its links must point to existing files and headings.
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
	"unicode"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

const root = "../.."

func TestMain(m *testing.M) {
	code := m.Run()
	mqtttest.RemoveRunnerBinary()
	os.Exit(code)
}

func read(t *testing.T, path string) string {
	t.Helper()
	return readFile(t, filepath.Join(root, path))
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
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
	runbooks, err := filepath.Glob(filepath.Join(root, "docs", "runbooks", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	guides, err := filepath.Glob(filepath.Join(root, "docs", "guides", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(append(files, runbooks...), guides...)
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "charts/mqttbridge-operator/README.md"} {
		files = append(files, filepath.Join(root, name))
	}
	link := regexp.MustCompile(`\]\(([^)#]*)(#[^)]+)?\)`)
	anchors, checked := map[string]map[string]bool{}, 0
	for _, file := range files {
		for _, m := range link.FindAllStringSubmatch(readFile(t, file), -1) {
			target, anchor := m[1], m[2]
			if strings.Contains(target, "://") {
				continue
			}
			checked++
			path := file
			if target != "" {
				path = filepath.Join(filepath.Dir(file), target)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: the link target %s does not exist", file, target)
				continue
			}
			if anchor == "" || !strings.HasSuffix(path, ".md") || filepath.Base(path) == "api.md" { // api.md is generated
				continue
			}
			if anchors[path] == nil {
				anchors[path] = headings(readFile(t, path))
			}
			if !anchors[path][anchor] {
				t.Errorf("%s: %s has no heading for %s", file, path, anchor)
			}
		}
	}
	if checked == 0 {
		t.Error("no link was found in the documentation")
	}
}

// headings returns the anchors of a document's headings, as GitHub makes them.
func headings(text string) map[string]bool {
	anchors := map[string]bool{}
	code := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			code = !code
		}
		title, isHeading := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if code || !isHeading || !strings.HasPrefix(line, "#") {
			continue
		}
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(title))
		anchors["#"+anchor] = true
	}
	return anchors
}
