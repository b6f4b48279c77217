// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// documents returns the documents of a file that has at least one.
func documents(t *testing.T, file string) []Document {
	t.Helper()
	out, err := Documents([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// documentLines returns the first line and the content of each document.
func documentLines(t *testing.T, file string) (out []string) {
	t.Helper()
	for _, d := range documents(t, file) {
		out = append(out, fmt.Sprint(d.Line(), " ", strings.TrimSpace(string(d.Data))))
	}
	return out
}

// Editors and shells of Windows write byte order marks and UTF-16.
func TestDocuments_FileOfWindows_HasTheSameDocuments(t *testing.T) {
	const text = "# plant\r\n---\r\na: ä\r\n---\r\nb: 2\r\n"
	want := []string{"3 a: ä", "5 b: 2"}
	for name, file := range map[string]string{
		"a byte order mark":    "\uFEFF" + text,
		"UTF-16 little endian": toUTF16(text, binary.LittleEndian, true),
		"UTF-16 big endian":    toUTF16(text, binary.BigEndian, true),
	} {
		if got := documentLines(t, file); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// A list that would be left out as an object of another API would hide that its bridges are not checked.
func TestDocuments_ListWithBridges_IsNotLeftOut(t *testing.T) {
	const list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret}\n- {apiVersion: mqttbridge.io/v1alpha1, kind: MQTTBridge}\n"
	const other = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret}\n"
	got := documents(t, "a: 1\n---\n"+list+"---\n"+other)
	if len(got) != 2 || got[1].Line() != 3 {
		t.Fatalf("%+v", got)
	}
	_, problems, err := Check(got[1].Data)
	if err != nil || len(problems) == 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// A file may have all objects of a cluster.
func TestDocuments_ManyOtherObjects_NeedLittleMemory(t *testing.T) {
	object := "apiVersion: v1\nkind: ConfigMap\n" + strings.Repeat("# line\n", 38) + "---\n"
	file := []byte(strings.Repeat(object, 2000) + "a: 1\n")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := Documents(file)
	runtime.ReadMemStats(&after)
	if err != nil || len(got) != 1 || got[0].Line() != 2000*41+1 {
		t.Fatalf("%d documents, %v", len(got), err)
	}
	if allocated := int(after.TotalAlloc - before.TotalAlloc); allocated > 60*len(file) {
		t.Errorf("%d bytes are allocated for a file of %d bytes", allocated, len(file))
	}
}

// The lines before a document must not be copied for each document.
func TestDocuments_ManyBridges_NeedLittleMemory(t *testing.T) {
	file := []byte(strings.Repeat("a: 1\n"+strings.Repeat("# line\n", 100)+"---\n", 2000))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := Documents(file)
	runtime.ReadMemStats(&after)
	if err != nil || len(got) != 2000 || got[1999].LineOf("a") != 1999*102+1 {
		t.Fatalf("%d documents, %v", len(got), err)
	}
	if allocated := int(after.TotalAlloc - before.TotalAlloc); allocated > 60*len(file) {
		t.Errorf("%d bytes are allocated for a file of %d bytes", allocated, len(file))
	}
}

func TestDocuments_ManyOtherKinds_NamesTen(t *testing.T) {
	var file strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&file, "---\napiVersion: v1\nkind: K%d\n", i)
	}
	_, err := Documents([]byte(file.String()))
	if err == nil || !strings.Contains(err.Error(), "K9 (v1), and others;") {
		t.Errorf("%.1000v", err)
	}
}
