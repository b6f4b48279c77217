// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// maxPlainTestName is the largest length of a test name without an underscore.
const maxPlainTestName = 40

// checkNames applies the rules on names to a Go file. It returns nothing for other files.
func checkNames(path string) (found []finding, err error) {
	if filepath.Ext(path) != ".go" {
		return nil, nil
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	report := func(pos token.Pos, text string, r *rule) {
		found = append(found, finding{path, fset.Position(pos).Line, text, r})
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if strings.HasSuffix(path, "_test.go") && n.Recv == nil && isLongSentence(n.Name.Name) {
				report(n.Pos(), n.Name.Name, testName)
			}
		case *ast.StructType:
			for _, field := range n.Fields.List {
				if word, ok := startsWithName(field); !ok {
					report(field.Doc.Pos(), word, fieldComment)
				}
			}
		}
		return true
	})
	return found, nil
}

// isLongSentence reports whether a test has a long name without an underscore.
func isLongSentence(name string) bool {
	return strings.HasPrefix(name, "Test") && len(name) > maxPlainTestName && !strings.Contains(name, "_")
}

// startsWithName returns the first word of a field's comment and reports whether it is the name of
// the field. The case does not matter, because the comments of the API have the names in JSON. It
// returns true for fields without a name or a comment.
func startsWithName(field *ast.Field) (word string, ok bool) {
	if field.Doc == nil || len(field.Names) == 0 {
		return "", true
	}
	word = strings.TrimSpace(field.Doc.Text())
	if end := strings.IndexFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }); end >= 0 {
		word = word[:end]
	}
	if word == "" { // a directive
		return "", true
	}
	return word, slices.ContainsFunc(field.Names, func(name *ast.Ident) bool { return strings.EqualFold(name.Name, word) })
}
