// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"os"
	"syscall"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// The disk is smaller than the size in the manifest, like a disk that other programs also fill.
func TestBufferOnDisk_DiskFull_IsReportedAndLosesNothing(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Fatal("mounting a file system needs root")
	}
	l := newDiskLine(t)
	l.runner = mqtttest.NewRunner(t, l.manifest)
	dir := l.runner.DataDir()
	must(t, os.MkdirAll(dir, 0o700))
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=300k"))
	t.Cleanup(func() { must(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	l.runner.Start()
	l.runner.WaitActive("primary", eventTimeout)
	l.stream(1, 1000)
	l.primary.Kill()
	l.backup.Kill()
	waitBacklogState(t, l.runner, v1alpha1.BacklogFull)
	l.runner.Kill()
	l.runner.Start() // the new process finds the disk full
	waitBacklogState(t, l.runner, v1alpha1.BacklogFull)
	l.backup.Start()
	l.primary.Start()
	l.finish()
	waitBacklogState(t, l.runner, v1alpha1.BacklogEmpty)
}
