// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"slices"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

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
		p.full.add(o.in.Session(), size)
		return false
	}
	// The source would not send it again: its session ends with the connection.
	p.meter.Dropped(DropBufferFull)
	in := &o.in.Publish // it may wait for long for its turn
	in.Topic, in.Payload, in.Properties = "", "", nil
	p.acknowledgeInTurn(o)
	return false
}

// full are messages that were left to their source.
type full struct {
	sessions []*session.Session // by which they came; empty: there are none
	size     int                // of the first of each session, the largest
	renewed  time.Time          // when the source was last asked to send such messages again
}

func (f *full) add(s *session.Session, size int) {
	if s != nil && !slices.Contains(f.sessions, s) {
		f.sessions, f.size = append(f.sessions, s), max(f.size, size)
	}
}

// leastRenewal is the least time between two renewals of a source's session.
const leastRenewal = 100 * time.Millisecond

// makeRoomLocked has the source send again the messages that were left to it, when half of
// the memory is free, and the first of them fits.
func (p *Pipe) makeRoomLocked() {
	f := &p.full
	if len(f.sessions) == 0 || p.stopping ||
		p.bytes > 0 && (p.bytes > p.opts.MemoryBytes/2 || p.bytes+f.size > p.opts.MemoryBytes) {
		return
	}
	now := time.Now()
	if next := f.renewed.Add(leastRenewal); now.Before(next) {
		p.wakeAtLocked(next, now)
		return
	}
	for _, s := range f.sessions {
		s.Renew()
	}
	*f = full{renewed: now}
}

// clearLocked drops the content of a message that is done. It may stay in the queue for
// long, behind a message that is not acknowledged, so it keeps no content in memory. A QoS 0
// message is taken out when there are many. The content of a message that its source waits
// for is counted until the source is acknowledged.
func (p *Pipe) clearLocked(m *outgoing) {
	switch {
	case m.copied: // the disk may be reading it
	case m.settled:
		m.Message = session.Message{}
		if o := m.origin; o != nil && o.queued == 0 && o.waits() && o.in != nil {
			o.in = settledInbound
		}
	case !m.origin.waits():
		m.Message, m.origin = session.Message{}, clearedOrigin
		p.clearedQoS0++
	}
}

var (
	// clearedOrigin replaces the origin of QoS 0 messages that are cleared.
	clearedOrigin = &origin{in: &session.Inbound{}}
	// settledInbound replaces the messages of QoS 1 and 2 that were acknowledged.
	settledInbound = &session.Inbound{Publish: packet.Publish{QoS: 1}}
)
