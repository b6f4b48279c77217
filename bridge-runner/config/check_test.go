// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCheck_ValidManifests_ReturnsManifestOfLoad(t *testing.T) {
	for name, text := range manifests(t, "valid") {
		m, problems, err := Check([]byte(text))
		if m == nil || len(problems) > 0 || err != nil {
			t.Errorf("%s: %v, %v", name, problems, err)
		}
	}
}

func TestCheck_InvalidManifests_ReturnsErrorsOfLoad(t *testing.T) {
	for name, text := range manifests(t, "invalid") {
		_, loadErr := Load(write(t, t.TempDir(), "b.yaml", text))
		m, problems, err := Check([]byte(text))
		if m != nil || err != nil || len(problems) == 0 {
			t.Errorf("%s: %v, %v", name, problems, err)
			continue
		}
		for _, p := range problems {
			if !strings.Contains(loadErr.Error(), p.Detail) {
				t.Errorf("%s: %v is not an error of Load: %v", name, p, loadErr)
			}
		}
	}
}

func TestCheck_SeveralErrors_ReturnsAllWithLines(t *testing.T) {
	const text = `apiVersion: v1
kind: Secret
metadata: {name: s}
---
# comment
---
apiVersion: mqttbridge.io/v1alpha1
kind: MQTTBridge
metadata: {name: b}
spec:
  local:
    primary: {url: "mqtt://local:1883"}
    protocolVersion: "5"
  remote:
    primary: {url: "mqtt://remote:99999"}
  localToRemote:
  - {filter: "a/#"}
  - filter: "b/#"
    qos: 3
  - {fliter: "c"}
`
	documents, err := Documents([]byte(text))
	if err != nil || len(documents) != 1 || documents[0].Line() != 7 {
		t.Fatalf("documents: %+v, %v", documents, err)
	}
	check := func(d Document, want ...string) {
		t.Helper()
		_, problems, err := d.Check()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range problems {
			got = append(got, fmt.Sprint(p.Field, " ", d.LineOf(p.Field)))
		}
		if !slices.Equal(got, want) {
			t.Errorf("errors %q, want %q: %v", got, want, problems)
		}
	}
	check(documents[0], "spec.localToRemote[2].fliter 20", "spec.remote.primary.url 15", "spec.localToRemote[1].qos 19", "spec.localToRemote[2].filter 20")
	other := documents[0]
	other.Data, other.parsed = []byte(strings.Replace(string(other.Data), `"5"`, "5", 1)), false
	check(other, "spec.localToRemote[2].fliter 20", "spec.local.protocolVersion 13")
	check(Document{Data: []byte("\n\n\n\n\n\nkind: MQTTBridge")}, "apiVersion 7", "metadata.name 7", "spec.local.primary.url 7", "spec.remote.primary.url 7", "spec.localToRemote 7")
}

func TestCheck_NoBridge_IsOneError(t *testing.T) {
	for _, text := range []string{"{}", "a", "[]"} {
		if _, problems, err := Check([]byte(text)); err == nil || len(problems) > 0 || !strings.HasPrefix(err.Error(), "this ") {
			t.Errorf("%q: %v, %v", text, problems, err)
		}
	}
}

func TestCheck_NotYAML_ErrorNamesLine(t *testing.T) {
	if _, problems, err := Check([]byte("a: b\nc: [")); err == nil || len(problems) > 0 || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestCheck_TabOrReservedCharacter_ErrorNamesRemedy(t *testing.T) {
	for _, text := range []string{"a:\n\tb: c\n", "a: b\nc: @d\n", "a: b\nc: `d`\n"} {
		_, _, err := Check([]byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), "yaml: line 2: ") || !strings.HasSuffix(err.Error(), "; indent with spaces and not with tabs, and write a value that begins with @, % or ` in quotes") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A file may have errors in thousands of lines.
func TestCheck_ManyErrors_LinesAreFoundWithin10Seconds(t *testing.T) {
	const fields = 10_000
	var text strings.Builder
	text.WriteString("---\napiVersion: mqttbridge.io/v1alpha1\nkind: MQTTBridge\n")
	for i := range fields {
		fmt.Fprintf(&text, "f%d: 1\n", i)
	}
	start := time.Now()
	d := documents(t, text.String())[0]
	_, problems, err := d.Check()
	if err != nil || len(problems) < fields {
		t.Fatalf("%d problems, %v", len(problems), err)
	}
	for _, p := range problems {
		var field int
		if n, _ := fmt.Sscanf(p.Field, "f%d", &field); n == 1 && d.LineOf(p.Field) != field+4 {
			t.Fatalf("%s is in line %d", p.Field, d.LineOf(p.Field))
		}
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the lines of %d errors are found after %s", len(problems), took)
	}
}

// aliases returns a manifest with labels whose values are an alias of one text.
func aliases(size, number int) []byte {
	return []byte("apiVersion: mqttbridge.io/v1alpha1\nkind: MQTTBridge\nmetadata:\n  name: &a " + strings.Repeat("a", size) + "\n  labels:\n" +
		numberedLines("    k%d: *a\n", number))
}

func numberedLines(format string, number int) string {
	var b strings.Builder
	for i := range number {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestCheck_AliasesOfALongText_AreRefusedWithLittleMemory(t *testing.T) {
	data := aliases(10_000, 10_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, problems, err := Check(data)
	runtime.ReadMemStats(&after)
	if err == nil || len(problems) > 0 || !strings.Contains(err.Error(), "aliases") {
		t.Errorf("%d problems, %v", len(problems), err)
	}
	if allocated := int(after.TotalAlloc - before.TotalAlloc); allocated > 64<<20 {
		t.Errorf("%d bytes are allocated for a manifest of %d bytes", allocated, len(data))
	}
	for name, text := range map[string]string{
		"an alias within its own value": "a: &a\n- *a\n",
		"aliases of aliases":            "a: &a [x, x, x, x, x, x, x, x]\n" + nested(8),
	} {
		if _, _, err := Check([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, problems, err := Check(aliases(5, 3)); err != nil || strings.Contains(problems.ToAggregate().Error(), "alias") {
		t.Errorf("few short aliases: %v, %v", problems, err)
	}
}

// nested returns lists that each repeat the list before. The first one repeats a.
func nested(levels int) string {
	var b strings.Builder
	for i := range levels {
		before := string(rune('a' + i))
		fmt.Fprintf(&b, "%[2]c: &%[2]c [*%[1]s, *%[1]s, *%[1]s, *%[1]s, *%[1]s, *%[1]s, *%[1]s, *%[1]s]\n", before, 'b'+i)
	}
	return b.String()
}

func TestDocuments_Markers_SeparateDocuments(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"# a\n---\n# b\n", nil},
		{"a: 1", []string{"1 a: 1"}},
		{"a: 1\n---\nb: 2\n", []string{"1 a: 1", "3 b: 2"}},
		{"---\na: 1\n--- # comment\nb: 2\n...\n", []string{"2 a: 1", "4 # comment\nb: 2"}},
		{"a: 1\r\n---\r\nb: 2\r\n", []string{"1 a: 1", "3 b: 2"}},
		{"--- {a: 1}\n--- {b: 2}\n", []string{"1 {a: 1}", "2 {b: 2}"}},
		{"a: |\n  ---\n  b\n----: 1\n", []string{"1 a: |\n  ---\n  b\n----: 1"}},
		{"apiVersion: v1\nkind: Secret\n", nil},
		{"apiVersion: v1\nkind: Secret\n---\na: 1", []string{"4 a: 1"}},
	} {
		var got []string
		documents, err := Documents([]byte(c.text))
		if (err != nil) != (len(c.want) == 0) {
			t.Errorf("%q: %v", c.text, err)
		}
		for _, d := range documents {
			if line := d.LineOf(""); line != d.Line() {
				t.Errorf("%q: the document at line %d begins at line %d", c.text, d.Line(), line)
			}
			got = append(got, fmt.Sprint(d.Line(), " ", strings.TrimSpace(string(d.Data))))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}
