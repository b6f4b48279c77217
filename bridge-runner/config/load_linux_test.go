// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The size of a pipe or a device is not known before it is read.
func TestLoad_PipeWithoutEnd_IsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.yaml")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		pipe, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = pipe.Close() }()
		line := bytes.Repeat([]byte("# line\n"), 1000)
		for range 4 * maxManifestBytes / len(line) {
			if _, err := pipe.Write(line); err != nil {
				return // the reader has read enough
			}
		}
	}()
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "more than the limit of 3145728 bytes") {
		t.Errorf("%v", err)
	}
	<-written
}
