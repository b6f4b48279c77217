// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"runtime/debug"
)

// limitMemory makes the garbage collector work harder when the memory of the process comes
// close to limit, the memory limit of the container in bytes. Without it, the heap may grow to
// twice the size of the objects in use, and the kernel would end the process. 0 sets no limit.
// The environment variable GOMEMLIMIT has precedence.
func limitMemory(limit int64) {
	if limit <= 0 || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetMemoryLimit(max(limit-programMemory, limit/2))
}

// programMemory is the memory of the process, in bytes, that the Go runtime does not count: the
// pages of the program in use, 46 MiB, and some more.
const programMemory = 56 << 20
