// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"runtime/debug"
	"testing"
)

func TestMemoryLimit_OfContainer_LeavesMemoryForTheProgram(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	for _, c := range []struct {
		name, variable string
		limit, want    int64
	}{
		{"no limit", "", 0, math.MaxInt64},
		{"256 MiB", "", 256 << 20, 200 << 20},
		{"64 MiB", "", 64 << 20, 32 << 20},
		{"GOMEMLIMIT is set", "1GiB", 256 << 20, math.MaxInt64},
	} {
		t.Run(c.name, func(t *testing.T) {
			debug.SetMemoryLimit(math.MaxInt64)
			t.Setenv("GOMEMLIMIT", c.variable)
			limitMemory(c.limit)
			if got := debug.SetMemoryLimit(-1); got != c.want {
				t.Errorf("the limit of the heap is %d; want %d", got, c.want)
			}
		})
	}
}
