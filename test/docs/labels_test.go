// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// metadataName matches the names of labels, annotations and finalizers of this project, and the
// recommended labels of Kubernetes.
var metadataName = regexp.MustCompile(`^(mqttbridge\.io/[a-z-]+|app\.kubernetes\.io/[a-z-]+)$`)

// TestLabels_NamesInTheCode_AreOnThePage compares the page with the constants of the programs, in
// both directions.
func TestLabels_NamesInTheCode_AreOnThePage(t *testing.T) {
	var declared []string
	for _, dir := range []string{"api", "controllers", "bridge-runner", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				spec, ok := n.(*ast.ValueSpec)
				if !ok {
					return true
				}
				for _, v := range spec.Values {
					literal, ok := v.(*ast.BasicLit)
					if !ok || literal.Kind != token.STRING {
						continue
					}
					if value, err := strconv.Unquote(literal.Value); err == nil && metadataName.MatchString(value) {
						declared = append(declared, value)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var documented []string
	for _, m := range quoted.FindAllStringSubmatch(strings.ReplaceAll(read(t, "docs/labels.md"), "```", ""), -1) {
		if metadataName.MatchString(m[1]) {
			documented = append(documented, m[1])
		}
	}
	slices.Sort(declared)
	slices.Sort(documented)
	declared, documented = slices.Compact(declared), slices.Compact(documented)
	if len(declared) < 15 {
		t.Errorf("the code declares only %q", declared)
	}
	for _, name := range declared {
		if !slices.Contains(documented, name) {
			t.Errorf("docs/labels.md does not list %s", name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(declared, name) {
			t.Errorf("docs/labels.md lists %s, and no constant of the code has this value", name)
		}
	}
}
