// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"sigs.k8s.io/yaml"
)

func TestFold_LiteralDescriptions_KeepOnlyParagraphsAndLists(t *testing.T) {
	const text = `- description: |-
    one
    two

    three
    four:
    - five
      to seven
    - eight
    | a | b |
    nine
  name: a
- description: plain
  rule: |-
    kept
    as it is
`
	var got []struct{ Description, Name, Rule string }
	if err := yaml.UnmarshalStrict([]byte(fold(text)), &got); err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ description, name, rule string }{
		{"one two\n\nthree four:\n- five to seven\n- eight\n| a | b |\nnine", "a", ""},
		{"plain", "", "kept\nas it is"},
	} {
		if got[i].Description != want.description || got[i].Name != want.name || got[i].Rule != want.rule {
			t.Errorf("%d: %+v, want %+v", i, got[i], want)
		}
	}
}

func TestFold_Twice_ChangesNothingMore(t *testing.T) {
	once := fold("description: |-\n  a\n  b\n\n  c\nname: x\n")
	if twice := fold(once); twice != once {
		t.Errorf("%q, want %q", twice, once)
	}
}
