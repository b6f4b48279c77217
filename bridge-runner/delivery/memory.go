// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import "github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"

// messageOverhead is roughly what a message takes in memory besides its topic and payload,
// in bytes.
const messageOverhead = 200

// takeInLocked counts a QoS 1 or 2 message, or leaves it to its source if there is no
// memory for it. One message always has room if no other is held.
func (p *Pipe) takeInLocked(o *origin) bool {
	size := len(o.in.Payload) + len(o.in.Topic) + o.in.Properties.Size() + messageOverhead
	if p.bytes == 0 || p.bytes+size <= p.opts.MemoryBytes {
		p.bytes += size
		o.bytes = size
		return true
	}
	if p.disk != nil {
		p.enter() // so that there is room soon
	}
	if o.in.Refuse() {
		p.full = o.in.Session()
		return false
	}
	// The source would not send it again: its session ends with the connection.
	p.meter.Dropped(DropBufferFull)
	p.acknowledgeInTurn(o)
	return false
}

// makeRoomLocked has the source send again the messages that were left to it, when half of
// the memory is free.
func (p *Pipe) makeRoomLocked() {
	if p.full != nil && p.bytes <= p.opts.MemoryBytes/2 && !p.stopping {
		p.full.Renew()
		p.full = nil
	}
}

// writtenLocked notes that a QoS 0 message is written. It may stay in the queue for long,
// behind a message that is not acknowledged, so it keeps nothing in memory, and is taken
// out when there are many.
func (p *Pipe) writtenLocked(m *outgoing) {
	if m.settled || m.origin.waits() {
		return
	}
	m.Message, m.origin = session.Message{}, writtenOrigin
	p.writtenQoS0++
}

// writtenOrigin takes the place of the origin of QoS 0 messages that are written.
var writtenOrigin = &origin{in: &session.Inbound{}}
