// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestReadTexts_CommentsStringsAndParagraphs_AreChecked(t *testing.T) {
	for name, tt := range map[string]struct {
		file, content string
		want          []string // the line and the text of each finding
	}{
		"comment over two lines": {"a.go", "package a\n\n// It passes where\n// the server is up.\nvar x int\n", []string{"3 where the"}},
		"field comment":          {"a.go", "package a\n\ntype x struct {\n\ty int // those of the server\n}\n", []string{"4 those of"}},
		"string":                 {"a.go", "package a\n\nvar x = \"Nobody answers.\"\n", []string{"3 nobody"}},
		"string of a test":       {"a_test.go", "package a\n\nvar x = \"Nobody answers.\"\n", nil},
		"reason of nolint":       {"a.go", "package a\n\nvar x int //nolint:unused // it goes over\n", []string{"3 goes over"}},
		"directive":              {"a.go", "package a\n\n// +kubebuilder:validation:XValidation:message=\"those of\"\nvar x int\n", nil},
		"paragraph":              {"a.md", "# A\n\nThe messages, most of\nwhich arrive.\n", []string{"3 of which"}},
		"code":                   {"a.md", "Run `what is`:\n\n```\nwhat is it\n```\nanew\n", []string{"6 anew"}},
		"link target":            {"a.md", "See [this](#what-is-it).\n", nil},
		"place":                  {"a.md", "The directory where logs go.\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), tt.file)
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			texts, err := readTexts(path)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, text := range texts {
				for _, f := range text.check() {
					got = append(got, f.place())
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCheckNames_TestNamesAndFieldComments_AreChecked(t *testing.T) {
	for name, tt := range map[string]struct {
		file, content string
		want          []string // the line and the text of each finding
	}{
		"long test name":                  {"a_test.go", "package a\n\nfunc TestTheBridgeForwardsAllMessagesAfterARestart() {}\n", []string{"3 TestTheBridgeForwardsAllMessagesAfterARestart"}},
		"test name with underscore":       {"a_test.go", "package a\n\nfunc TestForwarding_AfterARestart_LosesNothingAtAll() {}\n", nil},
		"short test name":                 {"a_test.go", "package a\n\nfunc TestParseWindow() {}\n", nil},
		"helper":                          {"a_test.go", "package a\n\nfunc startTheBridgeAndWaitUntilItIsConnected() {}\n", nil},
		"method":                          {"a_test.go", "package a\n\nfunc (suite) TestTheBridgeForwardsAllMessagesAfterARestart() {}\n", nil},
		"field comment":                   {"a.go", "package a\n\ntype x struct {\n\t// The size in bytes.\n\tsize int\n}\n", []string{"4 The"}},
		"field comment with name":         {"a.go", "package a\n\ntype x struct {\n\t// size is in bytes.\n\tsize int\n}\n", nil},
		"field comment with name in JSON": {"a.go", "package a\n\ntype x struct {\n\t// url is the address.\n\tURL string\n}\n", nil},
		"comment on several names":        {"a.go", "package a\n\ntype x struct {\n\t// min and max are in bytes.\n\tmin, max int\n}\n", nil},
		"comment on several fields":       {"a.go", "package a\n\ntype x struct {\n\t// The following fields are guarded by mu.\n\n\tsize int\n}\n", nil},
		"comment behind a field":          {"a.go", "package a\n\ntype x struct {\n\tsize int // in bytes\n}\n", nil},
		"embedded field":                  {"a.go", "package a\n\ntype x struct {\n\t// The lock.\n\tsync.Mutex\n}\n", nil},
		"directive":                       {"a.go", "package a\n\ntype x struct {\n\t//nolint:unused\n\tsize int\n}\n", nil},
		"document":                        {"a.md", "# A\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), tt.file)
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			found, err := checkNames(path)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found {
				got = append(got, f.place())
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
