// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Directory finds the manifests in a directory, and their changes: the files *.yaml, *.yml and
// *.json whose names do not begin with a dot. The files and the directory may be symbolic links,
// as in a mounted ConfigMap.
type Directory struct {
	path  string
	files map[string]*watchedFile // by name
	// version is the version of the directory at the latest complete scan, and skipped the number
	// of scans since then. incomplete is true if that scan has missed a file for the first time.
	version    fileVersion
	skipped    int
	incomplete bool
}

// maxSkipped is the number of scans without a look at each file, while no file of the directory is
// added, removed or replaced. A file that is changed in place is found after these scans.
const maxSkipped = 3

type watchedFile struct {
	version fileVersion
	// missing is true if the latest scan has not found the file.
	missing bool
}

// NewDirectory returns the directory at path. All its files are new to the first scan.
func NewDirectory(path string) *Directory {
	return &Directory{path: path, files: map[string]*watchedFile{}}
}

// File returns the path of a file of the directory.
func (d *Directory) File(name string) string { return filepath.Join(d.path, name) }

// Load reads a file of the directory as [Load] does. It refuses a pipe or a device, for which the other files would wait.
func (d *Directory) Load(name string) (*Manifest, error) {
	path := d.File(name)
	if info, err := os.Stat(path); err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("the manifest %s is a pipe or a device; replace it by a file", path)
	}
	return Load(path)
}

// Scan returns the names of the files that are new or have changed since the last scan, and of
// those that were removed, in alphabetical order. A file is removed if two scans do not find it:
// programs may replace a file by removing it first. Most scans look only at the directory, because
// it may have thousands of files. If the directory cannot be read, nothing has changed.
func (d *Directory) Scan() (changed, removed []string, err error) {
	if isNew, exists := d.version.update(d.path); exists && !isNew && !d.incomplete && d.skipped < maxSkipped {
		d.skipped++
		return nil, nil, nil
	}
	d.skipped = 0
	entries, err := os.ReadDir(d.path) // in alphabetical order
	if err != nil {
		if info, statErr := os.Stat(d.path); statErr == nil && !info.IsDir() {
			err = fmt.Errorf("%s is a file; name its directory, or use --bridge FILE for one bridge", d.path)
		}
		return nil, nil, fmt.Errorf("reading the directory of --bridges: %w", err)
	}
	found := make(map[string]bool, len(entries))
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || !isManifestName(name) {
			continue
		}
		file := d.files[name]
		if file == nil {
			file = &watchedFile{}
		}
		isNew, exists := file.version.update(d.File(name))
		if !exists {
			continue
		}
		d.files[name], found[name], file.missing = file, true, false
		if isNew {
			changed = append(changed, name)
		}
	}
	return changed, d.removeMissing(found), nil
}

// removeMissing forgets the files that neither this scan nor the previous scan has found.
func (d *Directory) removeMissing(found map[string]bool) (removed []string) {
	d.incomplete = false
	for name, file := range d.files {
		switch {
		case found[name]:
		case file.missing:
			delete(d.files, name)
			removed = append(removed, name)
		default:
			file.missing, d.incomplete = true, true
		}
	}
	slices.Sort(removed)
	return removed
}

func isManifestName(name string) bool {
	return !strings.HasPrefix(name, ".") && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
}
