// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"path/filepath"
	"regexp"
	"testing"
)

// The tables of metrics in operations.md are compared with the code by the tests
// TestMetrics_Names_MatchDocumentation of the packages bridge-runner/report and controllers.
func TestMetrics_NamesInText_AreInTheTables(t *testing.T) {
	operations := read(t, "docs/operations.md")
	known := map[string]bool{}
	for _, found := range regexp.MustCompile("(?m)^\\| `(mqttbridge_[a-z0-9_]+)`").FindAllStringSubmatch(operations, -1) {
		known[found[1]] = true
	}
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`\b(mqttbridge_[a-z0-9_]*[a-z0-9])\b(\.(?:go|yaml))?`)
	suffix := regexp.MustCompile(`_(bucket|count|sum)$`) // of the series of histograms
	checked := 0
	for _, file := range append(files, filepath.Join(root, "README.md")) {
		for _, found := range name.FindAllStringSubmatch(readFile(t, file), -1) {
			if found[2] != "" { // the name of a file
				continue
			}
			checked++
			if !known[found[1]] && !known[suffix.ReplaceAllString(found[1], "")] {
				t.Errorf("%s mentions %s, which is in no table of operations.md", file, found[1])
			}
		}
	}
	if checked < len(known) {
		t.Errorf("only %d names were found", checked)
	}
}
