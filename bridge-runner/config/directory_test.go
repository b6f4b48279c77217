// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scan returns the result of a scan: + and the names of the changed files, and - and the names
// of those removed.
func scan(t *testing.T, d *Directory) string {
	t.Helper()
	changed, removed, err := d.Scan()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, name := range changed {
		out = append(out, "+"+name)
	}
	for _, name := range removed {
		out = append(out, "-"+name)
	}
	return strings.Join(out, " ")
}

func TestDirectory_Files_ReportedWhenTheyChange(t *testing.T) {
	dir := t.TempDir()
	d := NewDirectory(dir)
	remove := func(name string) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		what string
		do   func()
		want string
	}{
		{"files of all kinds", func() {
			for _, name := range []string{"b.yaml", "a.yml", "c.json", "d.txt", ".e.yaml", "f.yaml~"} {
				write(t, dir, name, "x")
			}
			if err := os.Mkdir(filepath.Join(dir, "g.yaml"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "+a.yml +b.yaml +c.json"},
		{"nothing", func() {}, ""},
		{"a new and a changed file", func() { write(t, dir, "0.yaml", "x"); write(t, dir, "b.yaml", "longer") }, "+0.yaml +b.yaml"},
		{"a file that is missing for a moment", func() { remove("b.yaml") }, ""},
		{"and appears again", func() { write(t, dir, "b.yaml", "again") }, "+b.yaml"},
		{"a removed file", func() { remove("a.yml") }, ""},
		{"which stays removed", func() {}, "-a.yml"},
		{"and is reported once", func() {}, ""},
	} {
		step.do()
		if got := scan(t, d); got != step.want {
			t.Errorf("%s: %q, want %q", step.what, got, step.want)
		}
	}
}

func TestDirectory_FileChangedInPlace_IsFoundAfterAFewScans(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.yaml", "x")
	d := NewDirectory(dir)
	scan(t, d)
	write(t, dir, "a.yaml", "longer")
	for range maxSkipped + 1 {
		if got := scan(t, d); got == "+a.yaml" {
			return
		}
	}
	t.Errorf("the change is not found after %d scans", maxSkipped+1)
}

// The kubelet replaces the directory of a ConfigMap by changing a symbolic link.
// The runner may be allowed to read it now.
func TestDirectory_ModeOfFileChanged_IsReported(t *testing.T) {
	dir := t.TempDir()
	d := NewDirectory(dir)
	write(t, dir, "a.yaml", "x")
	scan(t, d)
	if err := os.Chmod(filepath.Join(dir, "a.yaml"), 0o444); err != nil {
		t.Fatal(err)
	}
	for range maxSkipped {
		scan(t, d)
	}
	if got := scan(t, d); got != "+a.yaml" {
		t.Errorf("a scan reports %q, want +a.yaml", got)
	}
}

func TestDirectory_MountedConfigMap_ReportsChangesThroughLinks(t *testing.T) {
	dir := t.TempDir()
	publish := func(version string, files ...string) {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			write(t, filepath.Join(dir, version), name, version+name)
			if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil && !os.IsExist(err) {
				t.Fatal(err)
			}
		}
		next := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(version, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	d := NewDirectory(dir)
	publish("..1", "a.yaml", "b.yaml")
	if got := scan(t, d); got != "+a.yaml +b.yaml" {
		t.Errorf("at first: %q", got)
	}
	publish("..2", "a.yaml") // the link of b.yaml leads nowhere now
	if got := scan(t, d); got != "+a.yaml" {
		t.Errorf("after a change: %q", got)
	}
	if got := scan(t, d); got != "-b.yaml" {
		t.Errorf("after the next scan: %q", got)
	}
}

func TestDirectory_File_NamesTheFlagForFiles(t *testing.T) {
	path := write(t, t.TempDir(), "a.yaml", minimal)
	want := "reading the directory of --bridges: " + path + " is a file; name its directory, or use --bridge FILE for one bridge"
	if _, _, err := NewDirectory(path).Scan(); err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestDirectory_Unreadable_ChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bridges")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "a.yaml", "x")
	d := NewDirectory(dir)
	if got := scan(t, d); got != "+a.yaml" {
		t.Fatalf("%q", got)
	}
	if err := os.Rename(dir, dir+"-moved"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if changed, removed, err := d.Scan(); err == nil || len(changed)+len(removed) > 0 {
			t.Errorf("%q, %q, %v", changed, removed, err)
		}
	}
	if err := os.Rename(dir+"-moved", dir); err != nil {
		t.Fatal(err)
	}
	if got := scan(t, d); got != "" {
		t.Errorf("after the directory is back: %q", got)
	}
}
