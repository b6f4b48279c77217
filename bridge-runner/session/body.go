// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"math/bits"
	"sync"
)

const (
	// minBody and maxBody bound the size of the packet bodies that have a buffer of their own, in
	// bytes. A smaller body costs less than the buffer, and a larger one would keep much memory
	// until the garbage collector removes it. With the race detector, smaller bodies have a buffer,
	// too, which is not used again: see smallestBody.
	minBody = 16<<10 + 1
	maxBody = 256 << 10
	// bodyGrowth is the factor by which the size of a body may exceed the number of its bytes that
	// have arrived when it gets a buffer.
	bodyGrowth = 8
)

// body is a buffer for the body of one PUBLISH. A new buffer for each message would make the
// garbage collector run after every few dozen large messages, so buffers are used again.
//
// A body has one owner: the wire while the packet arrives, then the [Inbound]. The garbage collector
// removes a body that its owner drops, which is always correct. Only [Inbound.Release] calls release,
// when nothing refers to the payload any more.
type body struct {
	bytes []byte
	use   bodyUse
}

// bodySteps is the number of sizes of buffers between two powers of two. So at most an eighth of a
// buffer is unused.
const bodySteps = 8

// bodyPools hold the unused buffers, by their size. The garbage collector empties them.
var bodyPools [4 * bodySteps]sync.Pool

// bodySize returns the size of the buffer for a body of n bytes, at least minBody, and the index of
// its pool.
func bodySize(n int) (size, pool int) {
	octave := bits.Len(uint(n-1)) - bits.Len(uint(minBody-1))
	step := minBody / bodySteps << octave
	steps := (n + step - 1) / step // more than bodySteps, and at most twice as many
	return steps * step, octave*bodySteps + steps - bodySteps - 1
}

// hasOwnBody reports whether a body of n bytes has a buffer of its own.
func hasOwnBody(n int) bool { return n >= smallestBody && n <= maxBody }

func newBody(n int) *body {
	b := unusedBody(n)
	b.use.begin(b.bytes)
	return b
}

func unusedBody(n int) *body {
	if n < minBody {
		return &body{bytes: make([]byte, n, max(n, 32))} // an object of its own, which the garbage collector removes alone
	}
	size, pool := bodySize(n)
	if b, ok := bodyPools[pool].Get().(*body); ok {
		b.bytes = b.bytes[:n]
		return b
	}
	return &body{bytes: make([]byte, n, size)}
}

// release makes the buffer available for another body.
func (b *body) release() {
	b.use.end(b.bytes)
	if len(b.bytes) < minBody {
		return
	}
	_, pool := bodySize(len(b.bytes))
	bodyPools[pool].Put(b)
}
