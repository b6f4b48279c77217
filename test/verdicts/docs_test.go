// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package verdicts

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// section returns the section on verdicts of docs/operations.md.
func section(t *testing.T) string {
	t.Helper()
	_, text, found := strings.Cut(read(t, filepath.Join(root, "docs", "operations.md")), "\n### Verdicts of deployment tools\n")
	if !found {
		t.Fatal(`docs/operations.md has no section "Verdicts of deployment tools"`)
	}
	text, _, _ = strings.Cut(text, "\n### ")
	return text
}

// decodeExample decodes the YAML of the section that starts with the given key.
func decodeExample(t *testing.T, key string, into any) {
	t.Helper()
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(section(t), -1) {
		if strings.HasPrefix(block[1], key+":") {
			if err := yaml.UnmarshalStrict([]byte(block[1]), into); err != nil {
				t.Fatalf("the example %s of docs/operations.md: %v", key, err)
			}
			return
		}
	}
	t.Fatalf("docs/operations.md has no example that starts with %s", key)
}
