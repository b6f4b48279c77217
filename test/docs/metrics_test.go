// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/internal/metriclist"
)

// The tables of docs/monitoring.md are generated. This test finds a table that is missing, or is
// out of date.
func TestMetrics_TablesOfMonitoring_MatchTheList(t *testing.T) {
	got := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(mqttbridge_[a-z0-9_]+)` \\| (.*) \\|$").FindAllStringSubmatch(read(t, "docs/monitoring.md"), -1) {
		got[row[1]] = row[2]
	}
	for _, m := range metriclist.All() {
		if want := strings.Join([]string{string(m.Type), strings.Join(m.Labels, ", "), m.Help}, " | "); got[m.Name] != want {
			t.Errorf("docs/monitoring.md describes %s as %q, want %q: run `make monitoring`", m.Name, got[m.Name], want)
		}
		delete(got, m.Name)
	}
	for name := range got {
		t.Errorf("docs/monitoring.md has %s, which is not in internal/metriclist", name)
	}
}

func TestMetrics_NamesInText_Exist(t *testing.T) {
	known := map[string]bool{}
	for _, m := range metriclist.All() {
		known[m.Name] = true
		if m.Type == metriclist.Histogram {
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				known[m.Name+suffix] = true
			}
		}
	}
	var files []string
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/runbooks/*.md", "docs/guides/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	name := regexp.MustCompile(`(?:^|[^a-z_])(mqttbridge_[a-z0-9_]*[a-z0-9])\b(\.(?:go|yaml))?`)
	mentioned := map[string]bool{}
	for _, file := range files {
		for _, found := range name.FindAllStringSubmatch(readFile(t, file), -1) {
			if found[2] != "" { // the name of a file
				continue
			}
			mentioned[found[1]] = true
			if !known[found[1]] {
				t.Errorf("%s mentions %s, which does not exist", file, found[1])
			}
		}
	}
	if len(mentioned) < len(metriclist.All()) {
		t.Errorf("only these names were found: %v", slices.Sorted(maps.Keys(mentioned)))
	}
}
