// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// throughMaps returns the text that sortedJSON promises: the fields of v, as json.Marshal sorts
// them in maps.
func throughMaps(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		t.Fatal(err)
	}
	sorted, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return string(sorted)
}

func assertSortedJSON(t *testing.T, v any) {
	t.Helper()
	got, err := sortedJSON(v)
	if err != nil {
		t.Fatal(err)
	}
	if want := throughMaps(t, v); string(got) != want {
		t.Errorf("the sorted JSON of %T is\n%s\nwant\n%s", v, got, want)
	}
}

func TestSortedJSON_BridgesAndTheirChildren_IsTheTextOfMaps(t *testing.T) {
	for name, b := range allBridges(t) {
		t.Run(name, func(t *testing.T) {
			assertSortedJSON(t, &b.Spec)
			assertSortedJSON(t, runnerSpec(b))
			for _, c := range built(t, b) {
				assertSortedJSON(t, c)
			}
		})
	}
}

func TestSortedJSON_UnusualValues_IsTheTextOfMaps(t *testing.T) {
	for _, v := range []any{
		nil, true, "", []string{}, map[string]any{}, []any{[]any{}, []any{nil, 1}},
		map[string]any{"b": 1, "a": map[string]any{}, "a-b": "x", "ab": "}", "<": "[", "\"": "\\", "\\": "\"", "ä": "\u2028"},
		[]int64{0, -1, 999999999999999, 9007199254740993, -9223372036854775808},
		[]float64{0.1, 1e21, 1e-7, 123456789012345678, -2.5},
		struct{ Z, A any }{Z: []string{"<a&b>", "\x00\b\f\n\t"}, A: "☃ \U0001F600"},
	} {
		assertSortedJSON(t, v)
	}
}

func FuzzSortedJSON(f *testing.F) {
	f.Add(`{"b":[1,{"d":"}","c":null}],"a":{"x":1e30}}`)
	f.Add(`[[],{},"\"",-0,12345678901234567890]`)
	f.Fuzz(func(t *testing.T, text string) {
		var v any
		if !utf8.ValidString(text) || json.Unmarshal([]byte(text), &v) != nil {
			t.Skip()
		}
		assertSortedJSON(t, v)
	})
}
