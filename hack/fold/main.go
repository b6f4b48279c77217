// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command fold changes the descriptions in a CRD, so that a paragraph is one line of text.
// controller-gen keeps the line breaks of the comments in the Go source, and kubectl explain breaks
// lines itself: with both, every other line of its output would be short.
//
// It changes the style of the YAML text and leaves the lines of the file as they are: a literal
// block (|-) keeps line breaks, and a folded block (>-) replaces them by spaces.
package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

func main() {
	for _, path := range os.Args[1:] {
		if err := foldFile(path); err != nil {
			fmt.Fprintln(os.Stderr, "folding the descriptions:", err)
			os.Exit(1)
		}
	}
}

func foldFile(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(fold(string(text))), 0o644)
}

// literal matches the first line of a description with several lines.
var literal = regexp.MustCompile(`^( *(?:- )?)description: \|-$`)

// fold changes all descriptions in a YAML text.
func fold(text string) string {
	var out []string
	lines := strings.Split(text, "\n")
	for len(lines) > 0 {
		line := lines[0]
		lines = lines[1:]
		start := literal.FindStringSubmatch(line)
		if start == nil {
			out = append(out, line)
			continue
		}
		indent := strings.ReplaceAll(start[1], "-", " ") + "  "
		end := slices.IndexFunc(lines, func(l string) bool { return l != "" && !strings.HasPrefix(l, indent) })
		if end < 0 {
			end = len(lines)
		}
		out = append(out, strings.TrimSuffix(line, "|-")+">-")
		out = append(out, foldBlock(lines[:end], indent)...)
		lines = lines[end:]
	}
	return strings.Join(out, "\n")
}

// ownLine matches a line that must begin a new line: an entry of a list, or a row of a table.
var ownLine = regexp.MustCompile(`^(?:[-*] |\|)`)

// foldBlock returns the lines of a folded block with the text of a literal block, in which only
// paragraphs, the entries of lists and the rows of tables begin new lines. In a folded block, each
// empty line is a line break, and so is an indented line: the text loses its indentation.
func foldBlock(lines []string, indent string) []string {
	var out []string
	last := ""
	for i, line := range lines {
		line = strings.TrimLeft(line, " ")
		afterRow := strings.HasPrefix(last, "|")
		if line == "" || i > 0 && last != "" && (ownLine.MatchString(line) || afterRow) {
			out = append(out, "") // between paragraphs two empty lines, before an entry one
		}
		last = line
		if line != "" {
			line = indent + line
		}
		out = append(out, line)
	}
	return out
}
