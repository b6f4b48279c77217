// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func assertYAML(t *testing.T, v any) {
	t.Helper()
	got, err := toYAML(v)
	want, wantErr := yaml.Marshal(v)
	if string(got) != string(want) || (err == nil) != (wantErr == nil) {
		t.Errorf("the text is (%v)\n%s\nwant, as yaml.Marshal writes it (%v),\n%s", err, got, wantErr, want)
	}
}

func TestToYAML_BridgesAndTheirChildren_IsTheTextOfYAMLMarshal(t *testing.T) {
	for name, b := range allBridges(t) {
		t.Run(name, func(t *testing.T) {
			assertYAML(t, b)
			b.DeletionTimestamp = &metav1.Time{Time: epoch}
			assertYAML(t, runnerSpec(b))
			for _, c := range built(t, b) {
				assertYAML(t, c)
			}
		})
	}
}

// unusualTexts are texts that a simple encoder writes without quotation marks, or breaks.
var unusualTexts = []string{
	"", " ", "a ", " a", "a:", "a: b", "a:b", "a #b", "a#b", "#", "+/a", "+", "+1", "-", "- a", "-1", "---", "...", "*", "&a", "!a", "%a", "@a", "`a",
	"{a}", "[a]", ",a", "|", ">", "?", "? a", ":a", "'", "a'b", "\"", "a\"b", "\\", "a\nb", "a\n", "\ta", "ä", "☃", "\x00", "\u2028", "<a&b>", "=", "~", "<<",
	"y", "Yes", "yES", "on", "off", "null", "NULL", "true", "n", "nan", ".nan", ".inf", "-.inf", "inf", "0", "1", "01", "08", "1.5", "1e3", "1_000", "0x1f",
	"0_x1f", "0b1", "0b2", "0o7", "0f", "0a1", "12e4567890123456", "1234567890123456", "12345678901234567890", "1:30", "190:20:30", "0 2 * * 6",
	"2026-01-02", "2026-01-02T03:04:05Z", "2026-01-02 03:04:05", "24h", "1Ki", "64Mi", "10.0.0.7", "1a2b3c4d5e6f7a8b", "0a2b3c4d5e6f7a8b",
	strings.Repeat("word ", 30) + "end", strings.Repeat("w", 200), "# " + strings.Repeat("word ", 30) + "end", "$share/a/#", "${1}/a", "_a",
}

func TestToYAML_UnusualTexts_IsTheTextOfYAMLMarshal(t *testing.T) {
	for _, text := range unusualTexts {
		assertYAML(t, map[string]any{"a": text})
		assertYAML(t, map[string]any{"a": map[string]any{"list": []any{text, map[string]string{"b": text, "c": text}}}})
		assertYAML(t, map[string]any{text: "a", "b": 1, text + "b": "c", "a10": 1, "a9": 2, "A": 3})
		assertYAML(t, map[string]any{"a1b": text, "a2b": 1, "a-b": 1, "a0b": 1, "a.b": 1, "a/b": 1, "ab": 1, "aB": 1})
		assertYAML(t, map[string]any{text: "a"})
	}
}

func TestToYAML_UnusualValues_IsTheTextOfYAMLMarshal(t *testing.T) {
	for _, v := range []any{
		nil, 1, "a", []any{}, []any{"a"}, map[string]any{}, map[string]any{"a": nil, "b": true, "c": []any{}, "d": map[string]any{}},
		map[string]any{"a": []any{[]any{1, 2}, []any{}, map[string]any{}, nil}},
		map[string]any{"a": []any{1, -1, 0, 1.5, 1e30, int64(999999999999999), int64(9223372036854775807), int64(-9223372036854775808)}},
		map[string]any{"a": json.Number("-0")},
	} {
		assertYAML(t, v)
	}
}

func FuzzToYAML(f *testing.F) {
	for _, text := range unusualTexts {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		if !utf8.ValidString(text) || !utf8.ValidString(name) {
			t.Skip()
		}
		assertYAML(t, map[string]any{name: text, "list": []any{text, map[string]any{"b": text, name: 1}}})
	})
}
