// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// text is a piece of prose: a comment, a document or a string.
type text struct {
	path    string
	line    int    // line of the first word
	content string // has the same line breaks as the file
}

// readTexts returns the prose of a Go or Markdown file.
func readTexts(path string) ([]text, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if filepath.Ext(path) == ".md" {
		return markdown(path, string(data)), nil
	}
	return source(path, data)
}

var code = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`|\\]\\([^)]*\\)")

// markdown returns the document as one text. Code and link targets are replaced by characters that no
// rule matches.
func markdown(path, data string) []text {
	blank := func(s string) string { return strings.Repeat(" `\n", strings.Count(s, "\n")) + " ` " }
	return []text{{path: path, line: 1, content: code.ReplaceAllStringFunc(data, blank)}}
}

// source returns the comments of a Go file and, unless it is a test or has the rules, its string literals.
func source(path string, data []byte) (texts []text, err error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, data, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	for _, group := range file.Comments {
		lines := make([]string, 0, len(group.List))
		for _, c := range group.List {
			lines = append(lines, comment(c.Text))
		}
		texts = append(texts, text{path, fset.Position(group.Pos()).Line, strings.Join(lines, "\n")})
	}
	if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "test/") || path == "hack/language/rules.go" {
		return texts, nil
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if content, err := strconv.Unquote(lit.Value); err == nil {
				texts = append(texts, text{path, fset.Position(lit.Pos()).Line, content})
			}
		}
		return true
	})
	return texts, nil
}

var directive = regexp.MustCompile(`^//(?:nolint|go:|\s*\+kubebuilder|\s*\+optional|\s*\+required|\s*\+list)`)

// comment returns the prose of a comment.
func comment(c string) string {
	if directive.MatchString(c) {
		if _, reason, ok := strings.Cut(c[2:], "//"); ok { // the reason of a nolint
			return reason
		}
		return ""
	}
	return strings.TrimPrefix(strings.TrimPrefix(c, "//"), " ")
}

// check applies all rules.
func (t text) check() (found []finding) {
	lower := strings.ToLower(strings.ReplaceAll(t.content, "\n", " "))
	if len(lower) != len(t.content) { // a letter whose lower case has another length; the offsets would be wrong
		lower = strings.ReplaceAll(t.content, "\n", " ")
	}
	for i := range rules {
		for _, at := range rules[i].pattern.FindAllStringIndex(lower, -1) {
			line := t.line + strings.Count(t.content[:at[0]], "\n")
			found = append(found, finding{t.path, line, lower[at[0]:at[1]], &rules[i]})
		}
	}
	return found
}
