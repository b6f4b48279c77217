// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var quoted = regexp.MustCompile("`([^`]+)`")

// section returns the text of docs/architecture.md from a heading to the next heading of the
// same or a higher level.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, text, ok := strings.Cut(read(t, "docs/architecture.md"), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/architecture.md has no section %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// rows returns the cells of the rows of the first table in a text, without the heading.
func rows(text string) (rows [][]string) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			if len(rows) > 0 {
				break
			}
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows[min(2, len(rows)):]
}

// find returns the path of a file or directory that the page names, which may omit
// bridge-runner/. It returns "" if there is none.
func find(name string) string {
	for _, dir := range []string{"bridge-runner", "internal", ""} {
		path := filepath.Join(root, dir, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

func TestArchitecture_Files_Exist(t *testing.T) {
	checked := 0
	text := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(read(t, "docs/architecture.md"), "")
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		if strings.HasSuffix(m[1], ".go") {
			checked++
			if find(m[1]) == "" {
				t.Errorf("docs/architecture.md names %s, which does not exist", m[1])
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d files were found", checked)
	}
}

// A message passes through at most eight files, and each contains the functions that the page
// names.
func TestArchitecture_RoadOfAMessage_FilesContainTheFunctions(t *testing.T) {
	road := rows(section(t, "The road of a message"))
	if len(road) == 0 || len(road) > 8 {
		t.Fatalf("%d files, want at most 8", len(road))
	}
	for _, row := range road {
		path := find(strings.Trim(row[1], "`"))
		if path == "" {
			continue // the other test reports it
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		var declared []string
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				declared = append(declared, f.Name.Name)
			}
		}
		for _, m := range quoted.FindAllStringSubmatch(row[2], -1) {
			if !slices.Contains(declared, m[1]) {
				t.Errorf("%s does not declare %s", path, m[1])
			}
		}
	}
}

func TestArchitecture_Imports_AreAsListed(t *testing.T) {
	checked := 0
	for _, row := range rows(section(t, "Packages of the runner")) {
		var want []string
		for _, m := range quoted.FindAllStringSubmatch(row[3], -1) {
			want = append(want, m[1])
		}
		for _, name := range quoted.FindAllStringSubmatch(row[0], -1) {
			checked++
			if got := imports(t, find(name[1])); !slices.Equal(got, want) {
				t.Errorf("%s imports %q, and docs/architecture.md says %q", name[1], got, want)
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d packages were found", checked)
	}
}

// imports returns the project's packages that the package in a directory imports, except the
// API.
func imports(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(name, "/bridge-runner/") || strings.Contains(name, "/internal/") {
				names = append(names, filepath.Base(name))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
