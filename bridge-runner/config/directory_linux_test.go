// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// processorTime returns the processor time that the process has used.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func TestDirectory_ThousandFiles_ScansNeedLittleProcessorTime(t *testing.T) {
	dir := t.TempDir()
	for i := range 1000 {
		write(t, dir, fmt.Sprintf("bridge-%04d.yaml", i), "x")
	}
	d := NewDirectory(dir)
	scan(t, d)
	const scans = 20
	began := processorTime(t)
	for range scans {
		scan(t, d)
	}
	share := float64(processorTime(t)-began) / float64(scans*WatchInterval)
	t.Logf("%.2f %% of a processor", 100*share)
	if share > 0.02 {
		t.Errorf("scans need %.2f %% of a processor", 100*share)
	}
}
