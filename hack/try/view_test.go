// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestView_Terminal_PrintsAboveTheTable(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	v := &view{out: out, table: []string{"row 1", "row 2"}}
	v.print("first\n")
	v.print("second\n")
	v.table = []string{"row 3"}
	v.print("")
	const want = "first\nrow 1\nrow 2\n" + // the table is below the text
		"\x1b[2A\x1b[J" + "second\nrow 1\nrow 2\n" +
		"\x1b[2A\x1b[J" + "row 3\n"
	if got := content(t, out); got != want {
		t.Errorf("the output is %q, want %q", got, want)
	}
}

func TestView_NoTerminal_PrintsNoControlSequence(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	v := newView(out, func() ([]string, string) { return []string{"row"}, "in short" })
	v.began = time.Now().Add(-1500 * time.Millisecond)
	v.say("cloud-%d is in use", 2)
	v.close()
	if got, want := content(t, out), "[  1.5s] cloud-2 is in use\n"; got != want {
		t.Errorf("the output is %q, want %q", got, want)
	}
}

func content(t *testing.T, f *os.File) string {
	t.Helper()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
