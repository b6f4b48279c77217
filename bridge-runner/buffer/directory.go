// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// makeDirectory creates a directory and its missing parents, and syncs the parent of each
// directory that it created. Without that, a crash of the machine could remove the directory and
// its contents.
func makeDirectory(dir string, sync func(dir string) error) error {
	dir = filepath.Clean(dir)
	var made []string // the innermost first
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) { //nolint:gosec // the directory that the user names
			break
		}
		made = append(made, at)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil { //nolint:gosec // the directory that the user names
		return err
	}
	for _, at := range made {
		if err := sync(filepath.Dir(at)); err != nil {
			for _, at := range made { // otherwise the next attempt would treat them as synced
				_ = os.Remove(at) //nolint:gosec // made above
			}
			return err
		}
	}
	return nil
}

// syncDirectory makes the entries of a directory survive a crash of the machine.
func syncDirectory(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // the directory that the user names, or a parent of it
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // nothing was written
	return f.Sync()
}
