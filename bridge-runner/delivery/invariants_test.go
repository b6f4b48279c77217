// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"fmt"
)

// checkInvariantsLocked returns the statements about the state of a pipe and its messages
// that do not hold. It is called between two operations, with p.mu held.
func (p *Pipe) checkInvariantsLocked() error {
	c := &checker{pipe: p, inQueue: map[*outgoing]int{}, inPending: map[*outgoing]bool{}, unsettled: map[*origin]int{}}
	c.checkQueue()
	if p.spool != nil {
		c.checkPending()
	}
	c.checkCounts()
	c.checkSpans()
	return errors.Join(c.errs...)
}

// checker collects the statements that do not hold.
type checker struct {
	pipe *Pipe
	errs []error
	// inQueue holds the index of each message of the queue.
	inQueue map[*outgoing]int
	// inPending holds the messages of pending.
	inPending map[*outgoing]bool
	// unsettled is the number of unsettled messages of each origin.
	unsettled map[*origin]int
	// qos0Bytes is the size of the QoS 0 messages that wait in memory.
	qos0Bytes int
}

func (c *checker) check(ok bool, format string, args ...any) {
	if !ok {
		c.errs = append(c.errs, fmt.Errorf(format, args...))
	}
}

// add counts a message that is in the queue or in pending.
func (c *checker) add(m *outgoing) {
	if !m.settled() && m.origin != clearedOrigin {
		c.unsettled[m.origin]++
	}
	if m.QoS == 0 && !m.settled() && m.progress != done {
		c.qos0Bytes += m.size()
	}
}

func (c *checker) checkQueue() {
	p := c.pipe
	var inflight, settled int
	var seq, record uint64
	var bytes int64
	lastSettled := -1
	for i := range p.queue.len() {
		m := p.queue.at(i)
		name := fmt.Sprintf("message %d of the queue %+v", i, m.Message)
		c.inQueue[m] = i
		c.add(m)
		c.check(m.seq > seq && m.seq <= p.lastSeq, "%s: number %d follows %d, the newest is %d", name, m.seq, seq, p.lastSeq)
		seq = m.seq
		if m.progress == inFlight {
			inflight++
		}
		c.check(i > 0 || m.progress != done, "%s: it is done", name)
		c.check((m.custody == onDisk) == (m.recordNumber > 0), "%s: custody %d, record %d", name, m.custody, m.recordNumber)
		c.check(m.custody != unneeded || m.progress == done, "%s: it is unneeded and not done", name)
		c.check(m.origin != nil || m.settled(), "%s: it has no origin", name)
		if m.settled() {
			settled++
			bytes += m.recordSize
			lastSettled = i
		}
		if m.recordNumber > 0 {
			c.check(m.recordNumber > record, "%s: record %d follows %d", name, m.recordNumber, record)
			record = m.recordNumber
		}
		c.check(p.spool != nil || m.custody == atSource, "%s: custody %d without a disk", name, m.custody)
	}
	c.check(p.inflight == inflight, "%d in flight, counted: %d", inflight, p.inflight)
	c.check(p.dest != nil || inflight == 0, "%d in flight, and no destination", inflight)
	c.check(p.next >= 0 && p.next <= p.queue.len() && p.evictor.next <= p.queue.len(), "next %d and %d of %d", p.next, p.evictor.next, p.queue.len())
	if s := p.spool; s != nil {
		c.check(s.queuedFromDisk == settled && s.queuedFromDiskBytes == bytes, "%d from the disk with %d bytes, counted: %d with %d", settled, bytes, s.queuedFromDisk, s.queuedFromDiskBytes)
		c.checkOrder(lastSettled)
	}
}

// checkOrder checks the messages in front of the last message that has settled.
func (c *checker) checkOrder(lastSettled int) {
	for i := range lastSettled {
		m := c.pipe.queue.at(i)
		c.check(m.settled() || c.pipe.spool.mode == modeJoining || m.progress == awaitingDeadLetter || m.progress == done && m.custody == atSource,
			"message %d of the queue has custody %d and progress %d, and a message behind it has settled", i, m.custody, m.progress)
	}
}

func (c *checker) checkPending() {
	p, s := c.pipe, c.pipe.spool
	var alsoQueued int
	last := -1
	for i := range s.pending.len() {
		m := s.pending.at(i)
		name := fmt.Sprintf("message %d of pending %+v", i, m.Message)
		c.inPending[m] = true
		at, queued := c.inQueue[m]
		switch m.custody {
		case atSource:
			c.check(!queued, "%s: it is in the queue, too", name)
			c.check(m.progress != inFlight && m.progress != awaitingDeadLetter, "%s: progress %d", name, m.progress)
			c.add(m)
			continue
		case spooling:
			c.check(queued && at > last, "%s: it is at %d of the queue (%v), behind %d", name, at, queued, last)
			last = at
		case unneeded:
			c.check(!queued && m.progress == done, "%s: it is in the queue (%v) with progress %d", name, queued, m.progress)
		case onDisk:
			c.check(false, "%s: it is on disk", name)
		}
		c.check(alsoQueued == i, "%s: custody %d behind a message that was not in the queue", name, m.custody)
		alsoQueued++
	}
	c.check(s.alsoQueued == alsoQueued, "%d also queued, counted: %d", alsoQueued, s.alsoQueued)
	c.check(s.mode != modeDirect || s.pending.len() == 0 && s.allRead, "mode direct, %d messages are pending, all read: %v", s.pending.len(), s.allRead)
	c.check(s.mode == modeSpooling || s.alsoQueued == 0 && !s.writing, "mode %d, %d also queued, writing: %v", s.mode, s.alsoQueued, s.writing)
	c.check(s.mode != modeOpening || p.queue.len() == 0, "mode opening, %d in the queue", p.queue.len())
	var spoolingMessages, inPending int
	for m := range c.inQueue {
		if m.custody == spooling {
			spoolingMessages++
		}
	}
	for i := range s.pending.len() {
		if s.pending.at(i).custody == spooling {
			inPending++
		}
	}
	c.check(spoolingMessages == inPending, "%d messages of the queue are spooling, %d of pending", spoolingMessages, inPending)
	for i := range p.queue.len() {
		if m := p.queue.at(i); m.recordNumber > 0 {
			c.check(m.recordNumber > s.released, "record %d of message %d is released: %d", m.recordNumber, i, s.released)
		}
	}
}

// checkSpans checks that only messages in memory that are to be sent have open spans.
func (c *checker) checkSpans() {
	for m := range c.pipe.spans {
		_, inQueue := c.inQueue[m]
		c.check(inQueue || c.inPending[m], "the span of %+v is open, but the message is neither in the queue nor in pending", m.Message)
		c.check(m.progress == queued || m.progress == inFlight, "the span of %+v is open with progress %d", m.Message, m.progress)
	}
}

func (c *checker) checkCounts() {
	p := c.pipe
	unacked := 0
	for o, n := range c.unsettled {
		c.check(o.unsettled == n, "origin %+v has %d unsettled messages, counted: %d", o.in, n, o.unsettled)
		unacked += o.bytes
	}
	c.check(p.unackedBytes == unacked, "%d bytes are not acknowledged, counted: %d", unacked, p.unackedBytes)
	c.check(p.qos0Bytes == c.qos0Bytes, "%d bytes of QoS 0 wait, counted: %d", c.qos0Bytes, p.qos0Bytes)
	for m := range p.refusals.byMessage {
		_, queued := c.inQueue[m]
		c.check(queued && (m.progress == 0 || m.progress == inFlight), "a refused message is in the queue: %v, progress %d", queued, m.progress)
	}
}
