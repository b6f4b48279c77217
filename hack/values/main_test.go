// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const values = `# A comment on the file.

# The image.
image:
  # -- (string) The tag
  # of the <image>.
  tag: ""
# -- The resources.
resources:
  limits: {memory: 1Gi}
`

func TestDescribe_Comments_BecomeDescriptions(t *testing.T) {
	got, err := describe([]byte(values), []byte(`{"properties": {"resources": {"type": "object"},
		"image": {"properties": {"tag": {"maxLength": 10080, "description": "old"}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "properties": {
    "image": {
      "description": "The image.",
      "properties": {
        "tag": {
          "description": "The tag of the <image>.",
          "maxLength": 10080
        }
      }
    },
    "resources": {
      "description": "The resources.",
      "type": "object"
    }
  }
}
`
	if string(got) != want {
		t.Errorf("the schema is\n%s\nwant\n%s", got, want)
	}
}

func TestDescribe_Chart_IsUpToDate(t *testing.T) {
	const chart = "../../charts/mqttbridge-operator"
	var files [2][]byte
	for i, name := range []string{"values.yaml", "values.schema.json"} {
		data, err := os.ReadFile(filepath.Join(chart, name))
		if err != nil {
			t.Fatal(err)
		}
		files[i] = data
	}
	got, err := describe(files[0], files[1])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, files[1]) {
		t.Error("the descriptions of the schema differ from the comments of values.yaml: run make chart")
	}
}

func TestDescribe_Differences_AreNamed(t *testing.T) {
	const schema = `{"properties": {"a": {}, "group": {"properties": {"b": {}}}}}`
	for _, c := range []struct{ name, values, want string }{
		{"no property", "# -- A.\na: 1\n# A group.\ngroup:\n  # -- B.\n  b: 1\n  # -- C.\n  c: 1\n", "line 8: the schema has no property group.c"},
		{"no value", "# -- A.\na: 1\n# A group.\ngroup:\n  {}\n", `the comment of group must start with "# --"`},
		{"no value in a group", "# A group.\ngroup:\n  # -- B.\n  b: 1\n", "values.yaml has no value a, which the schema has"},
		{"no comment", "a: 1\n# A group.\ngroup:\n  # -- B.\n  b: 1\n", "line 1: a has no description"},
		{"a comment that the README does not show", "# A.\na: 1\n# A group.\ngroup:\n  # -- B.\n  b: 1\n", `the comment of a must start with "# --"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := describe([]byte(c.values), []byte(schema)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v; want %q", err, c.want)
			}
		})
	}
}
