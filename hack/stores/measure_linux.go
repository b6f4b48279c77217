// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // never fails
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakMemory is the most memory that the process had, in MB.
func peakMemory() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // never fails
	return float64(u.Maxrss) / 1000
}

// fsyncs is how many appends of 4 KiB, each with an fsync, the disk does in a second.
func fsyncs(dir string) (float64, error) {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, 4<<10)
	n, began := 0, time.Now()
	for ; time.Since(began) < 500*time.Millisecond; n++ {
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// diskUsage is what a directory takes of the disk.
func diskUsage(dir string) (size int64) {
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			if s, ok := info.Sys().(*syscall.Stat_t); ok {
				size += s.Blocks * 512
			}
		}
		return nil
	})
	return size
}

// sizes builds a program without a store and one with each.
func sizes() error {
	dir, err := os.MkdirTemp("", "stores-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	base := int64(0)
	for _, name := range append([]string{"none"}, names()...) {
		path := filepath.Join(dir, name)
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-tags=only,"+name, "-o", path, ".")
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("building with %s: %w", name, err)
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if name == "none" {
			base = info.Size()
			continue
		}
		fmt.Printf("%s: %.1f MB\n", name, float64(info.Size()-base)/1e6)
	}
	return nil
}
