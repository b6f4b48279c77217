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
	"time"
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

// A pipe has no content until something writes to it, and the other bridges of the directory would wait for it.
func TestDirectory_Pipe_IsRefusedAtOnce(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "b.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded := make(chan error, 1)
	go func() {
		_, err := NewDirectory(dir).Load("b.yaml")
		loaded <- err
	}()
	select {
	case err := <-loaded:
		if err == nil || !strings.HasSuffix(err.Error(), "b.yaml is a pipe or a device; replace it by a file") {
			t.Errorf("%v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the pipe is read")
	}
}
