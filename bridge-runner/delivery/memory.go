// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"slices"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// messageOverhead is roughly the memory that a message needs besides its topic and
// payload, in bytes.
const messageOverhead = 200

// admitLocked counts a QoS 1 or 2 message, or leaves it with its source if there is no
// memory for it. It reports whether the message is to be forwarded. One message always
// has room if no other message is held.
func (p *Pipe) admitLocked(o *origin) bool {
	size := len(o.in.Payload) + len(o.in.Topic) + o.in.Properties.Size() + messageOverhead
	if p.unackedBytes == 0 || p.unackedBytes+size <= p.opts.MemoryBytes {
		p.unackedBytes += size
		o.bytes = size
		return true
	}
	p.spool.needLocked() // so that there is room soon
	if o.in.LeaveAtServer() {
		p.leftAtSource.addLocked(o.in.Session(), size)
		return false
	}
	// The source would not send the message again: its session ends with the connection.
	p.meter.Dropped(DropBufferFull)
	o.in.DropContent()
	p.forgetDroppedLocked(o.in.Session())
	p.acknowledgeInTurnLocked(o)
	return false
}

// forgetDroppedLocked removes from the queue the messages that were dropped for lack of memory on earlier connections of
// sources without a session, when another connection has the first such message: no server waits for their
// acknowledgements. Otherwise they would collect while the front of the queue waits.
func (p *Pipe) forgetDroppedLocked(s *session.Session) {
	if s == p.droppedOf {
		return
	}
	p.droppedOf = s
	var left queue
	for p.queue.len() > 0 {
		m := p.queue.pop()
		o := m.origin
		dropped := m.progress == done && m.custody == atSource && o != nil && o.in != nil && o.bytes == 0 && o.awaitsAck()
		if !dropped || !hasEnded(o.in.Session()) {
			left.push(m)
		}
	}
	p.queue, p.evictor, p.next = left, evictor{}, 0
	p.spool.wakeIfJoinedLocked()
}

// hasEnded reports whether a session has ended. nil: it has.
func hasEnded(s *session.Session) bool {
	if s == nil {
		return true
	}
	select {
	case <-s.Done():
		return true
	default:
		return false
	}
}

// leftAtSource describes the messages that were left at their source for lack of memory.
type leftAtSource struct {
	// sessions are the sessions that sent them. Empty if there are no such messages.
	sessions []*session.Session
	// size is the size of the largest message among the first ones of each session, in bytes.
	size int
	// renewedAt is when sources were last asked to send such messages again.
	renewedAt time.Time
}

// addLocked adds a session. It removes the sessions that have ended: their source sends the messages again on its next
// connection, and while no memory is free, a source may connect any number of times.
func (f *leftAtSource) addLocked(s *session.Session, size int) {
	if s == nil || slices.Contains(f.sessions, s) {
		return
	}
	f.sessions = slices.DeleteFunc(f.sessions, hasEnded)
	if len(f.sessions) == 0 {
		f.size = 0
	}
	f.sessions, f.size = append(f.sessions, s), max(f.size, size)
}

// minRenewalInterval is the minimum time between two renewals of a source's session.
const minRenewalInterval = 100 * time.Millisecond

// renewSourcesLocked asks the sources to send again the messages that were left with
// them. It does so when half of the memory is free, and the first of these messages fits.
func (p *Pipe) renewSourcesLocked() {
	f := &p.leftAtSource
	if len(f.sessions) == 0 || p.stopping ||
		p.unackedBytes > 0 && (p.unackedBytes > p.opts.MemoryBytes/2 || p.unackedBytes+f.size > p.opts.MemoryBytes) {
		return
	}
	now := time.Now()
	if next := f.renewedAt.Add(minRenewalInterval); now.Before(next) {
		p.wakeAtLocked(next, now)
		return
	}
	for _, s := range f.sessions {
		s.RequestReconnect()
	}
	*f = leftAtSource{renewedAt: now}
}

// clearContentLocked drops the content of a done message. The message may stay in the
// queue for a long time, behind an unacknowledged message, and must not keep its content
// in memory. QoS 0 messages are removed from the queue when there are many. The content
// of a message that its source waits for stays counted until the source is acknowledged.
func (p *Pipe) clearContentLocked(m *outgoing) {
	switch {
	case m.custody == spooling: // the spool may be reading it
	case m.settled():
		m.Message = session.Message{}
		if o := m.origin; o != nil && o.unsettled == 0 && o.awaitsAck() && o.in != nil {
			o.in = settledInbound
		}
	case !m.origin.awaitsAck():
		p.releasePayloadLocked(m, m.origin)
		m.origin.unsettled--
		m.Message, m.origin = session.Message{}, clearedOrigin
		p.clearedQoS0++
	}
}

// releasePayloadLocked releases the payload of m, whose origin is o, so that its buffer can be used
// for another message. m is done and needs no acknowledgement to its source any more, and the spool
// does not have it: a message that the spool writes is spooling, or is not done before it is written.
// A session has copied the payload. So only another message derived from o, or a dead letter, could
// still use it.
func (p *Pipe) releasePayloadLocked(m *outgoing, o *origin) {
	if o.payloadShared {
		return
	}
	m.Payload = ""
	o.in.Release()
}

var (
	// clearedOrigin replaces the origin of cleared QoS 0 messages.
	clearedOrigin = &origin{in: &session.Inbound{}}
	// settledInbound replaces the QoS 1 and 2 messages that were acknowledged.
	settledInbound = &session.Inbound{Publish: packet.Publish{QoS: 1}}
)
