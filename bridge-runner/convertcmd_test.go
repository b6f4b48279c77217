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

func TestConvert_FilesOrStandardInput_WritesManifestsAndNotes(t *testing.T) {
	const before = "kind: MQTTBridge\nmetadata:\n  name: b\n  annotations: {mqttbridge.io/switch-local: primary}\nspec:\n  local:\n    primary: {url: \"mqtt://a\"}\n  forwards: []\n"
	const now = "kind: MQTTBridge\nmetadata:\n  name: b\nspec:\n  local:\n    primary: {url: \"mqtt://a\"}\n    clientID: b4c1d846b\n    preferredServer: {name: a}\n  localToRemote: []\n"
	file := filepath.Join(t.TempDir(), "b.yaml")
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		files []string
		want  string
		notes int
	}{
		"standard input": {nil, now, 1},
		"a file":         {[]string{file}, now, 1},
		"two files":      {[]string{file, file}, now + "---\n" + now, 2},
	} {
		var out, notes bytes.Buffer
		if err := runConvert(c.files, "n", strings.NewReader(before), &out, &notes); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if out.String() != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, &out, c.want)
		}
		if got := strings.Count(notes.String(), "the annotation mqttbridge.io/switch-local is now spec.local.preferredServer"); got != c.notes {
			t.Errorf("%s: %d notes, want %d: %s", name, got, c.notes, &notes)
		}
	}
}

// The other commands, kubectl and its plugin accept flags behind the files, too.
func TestConvert_FlagsAndFilesInAnyOrder_HaveTheSameResult(t *testing.T) {
	const before = "kind: MQTTBridge\nmetadata:\n  name: b\nspec:\n  local:\n    primary: {url: \"mqtt://a\"}\n  forwards: []\n"
	file := filepath.Join(t.TempDir(), "b.yaml")
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--namespace", "n", file, "-"},
		{file, "--namespace=n", "-"},
		{file, "-", "--namespace", "n"},
		{"--namespace", "n", "--", file, "-"},
	} {
		var out, fault bytes.Buffer
		if status := convertCommand(args, strings.NewReader(before), &out, &fault); status != 0 {
			t.Errorf("%q: status %d: %s", args, status, &fault)
		}
		if got := strings.Count(out.String(), "clientID: b4c1d846b"); got != 2 {
			t.Errorf("%q: %d of 2 bridges have the client identifier that belongs to the namespace:\n%s", args, got, &out)
		}
	}
}

func TestConvert_InvalidFile_IsNamed(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"no.yaml": "kind: [", "spec.yaml": "kind: MQTTBridge\nmetadata: {name: b}\n"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := runConvert([]string{file}, "", nil, &bytes.Buffer{}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := runConvert([]string{filepath.Join(dir, "missing.yaml")}, "", nil, &bytes.Buffer{}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "missing.yaml") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestConvert_Arguments_DecideExitStatus(t *testing.T) {
	for _, c := range []struct {
		args       []string
		status     int
		out, fault string // their beginnings
	}{
		{[]string{"-h"}, 0, "usage: bridge-runner convert", ""},
		{[]string{"--unknown"}, 2, "", "bridge-runner convert: flag provided but not defined: --unknown\n"},
		{[]string{"missing.yaml"}, 1, "", "bridge-runner convert: open missing.yaml"},
		{[]string{"missing.yaml", "-h"}, 0, "usage: bridge-runner convert", ""},
		{[]string{"missing.yaml", "--unknown"}, 2, "", "bridge-runner convert: flag provided but not defined: --unknown\n"},
		{[]string{"missing.yaml", "--namespace"}, 2, "", "bridge-runner convert: flag needs an argument: --namespace\n"},
		{[]string{"--namespace", "n", "--", "--unknown"}, 1, "", "bridge-runner convert: open --unknown"},
	} {
		var out, fault bytes.Buffer
		if status := convertCommand(c.args, nil, &out, &fault); status != c.status || !strings.HasPrefix(out.String(), c.out) || !strings.HasPrefix(fault.String(), c.fault) || (out.Len() > 0) != (c.out != "") {
			t.Errorf("%q: status %d\n%s%s", c.args, status, &out, &fault)
		}
	}
}
