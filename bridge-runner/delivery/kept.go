// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

// kept is how far QoS 0 messages that are kept in memory were dropped for newer ones.
type kept struct {
	next int // place in the queue of the first that may be there
}

// sweepAt is how many cleared messages the queue may hold.
const sweepAt = 1024

// makeRoom drops the oldest QoS 0 messages that are kept in memory, until size fits. It
// reports whether it does. There is no destination.
func (p *Pipe) makeRoom(size int) bool {
	if size > p.opts.MemoryBytes {
		return false
	}
	for ; p.qos0+size > p.opts.MemoryBytes && p.kept.next < p.queue.len(); p.kept.next++ {
		m := p.queue.at(p.kept.next)
		if !m.waits() || m.origin.waits() {
			continue
		}
		p.drop(m, DropBufferFull)
	}
	p.sweepIfMany()
	return p.qos0+size <= p.opts.MemoryBytes
}

// sweepIfMany sweeps if that shortens the queue by much. It reports whether it did.
func (p *Pipe) sweepIfMany() bool {
	if p.clearedQoS0 <= sweepAt || p.clearedQoS0 <= p.queue.len()/2 {
		return false
	}
	p.sweep()
	return true
}

// sweep takes out of the queue the messages that were dropped, or written at QoS 0, and
// that need no acknowledgement, and no record on the disk: neither have one, nor wait for
// one.
func (p *Pipe) sweep() {
	var left queue
	for p.queue.len() > 0 {
		if m := p.queue.pop(); !m.done || m.settled || m.copied || m.ahead || m.origin.waits() {
			left.push(m)
		}
	}
	p.queue, p.kept, p.next, p.clearedQoS0 = left, kept{}, 0, 0
}

// waits reports whether a message is QoS 0 and waits in memory.
func (m *outgoing) waits() bool { return m.QoS == 0 && !m.done && !m.settled && !m.parked }
