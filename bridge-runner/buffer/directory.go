// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// makeDirectory makes a directory and all that lead to it, and syncs the parent of each
// that it made: else a crash of the machine takes the directory, and all that is in it.
func makeDirectory(dir string, sync func(dir string) error) error {
	dir = filepath.Clean(dir)
	var made []string // the deepest first
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
			for _, at := range made { // else the next attempt takes them for synced
				_ = os.Remove(at) //nolint:gosec // made above
			}
			return err
		}
	}
	return nil
}

// syncDirectory has a directory's entries outlast a crash of the machine.
func syncDirectory(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // in the directory that the user names, or one that leads to it
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	return f.Sync()
}
