// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

// Undelivered describes the messages that a pipe has not delivered.
type Undelivered struct {
	// Received is the number of messages that have arrived since the start.
	Received uint64
	// Messages is the number of messages in memory and on disk that are not delivered.
	Messages uint64
	// Unknown is true if there may be more: the log is not completely read, or cannot be read or
	// written at present, or the source was asked to send messages again later.
	Unknown bool
}

// Undelivered returns the messages that are not delivered. It is meant for the drain before a
// deletion; its cost is proportional to the number of messages in memory.
func (p *Pipe) Undelivered() Undelivered {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := Undelivered{Received: p.received, Unknown: len(p.leftAtSource.sessions) > 0}
	for i := range p.queue.len() {
		if m := p.queue.at(i); m.progress != done && !m.settled() {
			u.Messages++
		}
	}
	if s := p.spool; s != nil {
		u.Messages += s.report.messages + uint64(s.pending.len()-s.alsoQueued) //nolint:gosec // alsoQueued are a part of pending
		u.Unknown = u.Unknown || !s.allRead || s.failure != "" || s.unreadable != ""
	}
	return u
}
