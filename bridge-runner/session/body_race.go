// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build race

package session

import (
	"runtime"
	"sync/atomic"
)

// smallestBody is the size of the smallest body that has a buffer of its own, in bytes. With the race
// detector all messages have one, so that every test with small messages checks the use of buffers.
const smallestBody = 1

// bodiesInUse is the number of buffers that were neither released nor removed by the garbage
// collector.
var bodiesInUse atomic.Int64

// BodiesInUse returns the number of messages whose buffer is in use. It exists only in programs with
// the race detector, for tests.
func BodiesInUse() int64 { return bodiesInUse.Load() }

// bodyUse checks the use of a buffer. It overwrites a released buffer: so the race detector, and
// every test that compares payloads, finds a use of the payload after its release.
type bodyUse struct {
	inUse     bool
	abandoned runtime.Cleanup // runs if the garbage collector removes the buffer
}

func (u *bodyUse) begin(b []byte) {
	u.inUse = true
	bodiesInUse.Add(1)
	if len(b) > 0 {
		u.abandoned = runtime.AddCleanup(&b[0], func(int) { bodiesInUse.Add(-1) }, 0)
	}
}

func (u *bodyUse) end(b []byte) {
	if !u.inUse {
		panic("the buffer of a message is released twice")
	}
	u.inUse = false
	u.abandoned.Stop()
	bodiesInUse.Add(-1)
	for i := range b {
		b[i] = 0xa5
	}
}
