// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

// evictor drops the oldest QoS 0 messages in memory to make room for newer ones.
type evictor struct {
	// next is the index in the queue of the first message that was not considered yet.
	next int
}

// compactAt is the number of cleared messages that the queue may hold without being
// compacted.
const compactAt = 1024

// evictLocked drops the oldest QoS 0 messages in memory until a message of the given size
// fits. It reports whether the message fits. It is called while there is no destination.
func (p *Pipe) evictLocked(size int) bool {
	if size > p.opts.MemoryBytes {
		return false
	}
	for ; p.qos0Bytes+size > p.opts.MemoryBytes && p.evictor.next < p.queue.len(); p.evictor.next++ {
		m := p.queue.at(p.evictor.next)
		if !m.waitsInMemory() || m.origin.awaitsAck() {
			continue
		}
		p.dropLocked(m, DropBufferFull)
	}
	p.compactIfManyLocked()
	return p.qos0Bytes+size <= p.opts.MemoryBytes
}

// compactIfManyLocked compacts the queue if that makes it much shorter. It reports
// whether it did.
func (p *Pipe) compactIfManyLocked() bool {
	if p.clearedQoS0 <= compactAt || p.clearedQoS0 <= p.queue.len()/2 {
		return false
	}
	p.compactLocked()
	return true
}

// compactLocked removes from the queue the QoS 0 messages that were dropped or written,
// if they need no acknowledgement, have no record on disk, and wait for none.
func (p *Pipe) compactLocked() {
	var left queue
	for p.queue.len() > 0 {
		if m := p.queue.pop(); m.progress != done || m.custody != atSource || m.origin.awaitsAck() {
			left.push(m)
		}
	}
	p.queue, p.evictor, p.next, p.clearedQoS0 = left, evictor{}, 0, 0
	p.spool.wakeIfJoinedLocked()
}
