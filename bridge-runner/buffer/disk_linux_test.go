// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package buffer

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
)

// smallDisk mounts a file system of size bytes.
func smallDisk(t *testing.T, size int64) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("mounting a file system needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAppend_DiskFull_ReturnsErrFullUntilThereIsRoom(t *testing.T) {
	dir := smallDisk(t, 1<<20)
	l := open(t, dir, 64<<20)
	n := 0
	for ; ; n++ {
		if _, err := l.Append([][]byte{fmt.Appendf(nil, "%010000d", n)}); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			break
		}
	}
	l.closeFiles()
	l = open(t, dir, 64<<20)
	got, lost := readAll(t, l)
	if len(got) != n || lost != 0 {
		t.Fatalf("%d of %d records are read, %d lost", len(got), n, lost)
	}
	l.Release(uint64(n), l.BacklogBytes())
	appendTo(t, l, makeRecords(1, 10))
	got, _ = readAll(t, l)
	wantRecords(t, got, makeRecords(1, 10))
}
