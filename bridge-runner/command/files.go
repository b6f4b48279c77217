// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// newFile is a file to write.
type newFile struct {
	path string
	data []byte
}

// writeFiles writes all files, or none. It replaces existing files only if overwrite is true. The files may
// hold secrets, so that only the user may read them.
func writeFiles(files []newFile, overwrite bool) error {
	var existing []string
	for _, f := range files {
		info, err := os.Lstat(f.path)
		switch {
		case err != nil:
		case info.IsDir():
			return fmt.Errorf("nothing is written, because %s is a directory; remove it, or choose another directory", f.path)
		case !overwrite:
			existing = append(existing, f.path)
		}
	}
	if len(existing) > 0 {
		return fmt.Errorf("nothing is written, because these files exist: %s; add --overwrite to replace them, or choose another directory", strings.Join(existing, ", "))
	}
	// All contents are on the disk before the first file gets its name.
	staged := make([]string, 0, len(files))
	defer func() {
		for _, path := range staged { // a renamed file has another path
			_ = os.Remove(path)
		}
	}()
	for _, f := range files {
		path, err := stage(f)
		if path != "" {
			staged = append(staged, path)
		}
		if err != nil {
			return fmt.Errorf("nothing is written: %w", err)
		}
	}
	for i, f := range files {
		if err := os.Rename(staged[i], f.path); err != nil {
			return err
		}
	}
	return nil
}

// stage writes the content of a file under another name in the same directory, which it creates, and returns
// the path. The path is empty if there is no such file.
func stage(f newFile) (string, error) {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return "", fmt.Errorf("creating a directory: %w", err)
	}
	out, err := os.CreateTemp(filepath.Dir(f.path), ".import-*") // with the permissions 0600
	if err != nil {
		return "", err
	}
	_, err = out.Write(f.data)
	return out.Name(), errors.Join(err, out.Close())
}
