// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Backlog is the content of a pipe's buffer: the messages on disk or, without a disk, the
// QoS 0 messages in memory.
type Backlog struct {
	Messages uint64
	Bytes    int64
	// Oldest is when the oldest message was received. It is zero if there is no message, or
	// if the time is not known yet.
	Oldest time.Time
	// HeldBytes is the size of the QoS 1 and 2 messages in memory whose sources wait for the
	// acknowledgement.
	HeldBytes int64
}

// Backlog returns the content of the buffer.
func (p *Pipe) Backlog() Backlog {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.bufferLocked()
	b.HeldBytes = int64(p.unackedBytes)
	return b
}

func (p *Pipe) bufferLocked() Backlog {
	switch {
	case p.spool != nil:
		b := Backlog{Messages: p.spool.report.messages, Bytes: p.spool.report.bytes}
		if b.Messages > 0 && p.queue.len() > 0 && p.queue.at(0).settled() {
			b.Oldest = p.queue.at(0).ReceivedAt
		}
		return b
	case p.dest != nil || p.qos0Bytes == 0:
		return Backlog{}
	}
	var b Backlog
	for i := p.evictor.next; i < p.queue.len(); i++ {
		if m := p.queue.at(i); m.waitsInMemory() {
			if b.Messages == 0 {
				b.Oldest = m.ReceivedAt
			}
			b.Messages++
		}
	}
	b.Bytes = int64(p.qos0Bytes)
	return b
}

// report is the reported state of a spool. Pipe.mu guards it.
type report struct {
	// messages and bytes are the number and the size of the records in the log, after the
	// latest step.
	messages uint64
	bytes    int64
	// lastNonEmpty is when the log was last seen with records.
	lastNonEmpty time.Time
	// state and message were passed to Disk.OnStateChange last.
	state   v1alpha1.BacklogState
	message string
}

// condition is the condition of a buffer on disk, from which its state in the API follows.
// The mode is not a part of it: in modeDirect the last records may still be in flight, and in
// modeSpooling the log may be empty.
type condition struct {
	// failure, unreadable, full and damage describe problems for users. Each is empty if there
	// is no such problem.
	failure, unreadable, full, damage string
	// empty says that the log has no records, and recently that it had some within emptyAfter.
	empty, recently bool
	// connected says that there is a destination.
	connected bool
}

// state returns the state for the API after the state before, and a message that describes
// the problem. The message is empty if there is none.
func (c condition) state(before v1alpha1.BacklogState) (state v1alpha1.BacklogState, message string) {
	switch {
	case c.failure != "":
		return v1alpha1.BacklogFailed, c.failure
	case c.unreadable != "":
		return v1alpha1.BacklogFailed, c.unreadable
	case c.full != "":
		return v1alpha1.BacklogFull, c.full
	case c.empty && before == v1alpha1.BacklogDraining && c.recently:
		return v1alpha1.BacklogDraining, c.damage
	case c.empty:
		return v1alpha1.BacklogEmpty, c.damage
	case !c.connected:
		return v1alpha1.BacklogBuffering, c.damage
	}
	return v1alpha1.BacklogDraining, c.damage
}

// reportStateLocked calls Disk.OnStateChange if the state has changed.
func (s *spool) reportStateLocked() {
	if s == nil {
		return
	}
	r := &s.report
	if r.messages > 0 {
		r.lastNonEmpty = time.Now()
	}
	state, message := condition{
		failure: s.failure, unreadable: s.unreadable, full: s.full, damage: s.damage,
		empty: r.messages == 0, recently: time.Since(r.lastNonEmpty) < emptyAfter,
		connected: s.pipe.dest != nil,
	}.state(r.state)
	if state == r.state && message == r.message {
		return
	}
	r.state, r.message = state, message
	if s.OnStateChange != nil {
		s.OnStateChange(state, message)
	}
}
