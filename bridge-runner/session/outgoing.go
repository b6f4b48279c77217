// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"strings"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// Message is an application message to publish.
type Message struct {
	Topic      string
	Payload    string
	QoS        byte
	Retain     bool
	Properties *packet.Properties
}

// Outgoing is a message on its way to a server. It must not be changed while a
// session, or a [State], has it.
type Outgoing struct {
	Message
	// At is when the message came: its expiry interval runs since then.
	At time.Time
	// Owner is the caller's own.
	Owner any

	// Of State, and guarded by its lock.
	id             uint16    // its packet identifier, 0 while it is not in flight
	qos            byte      // at which it is in flight
	stage          stage     // valid while it is in flight
	session        *Session  // by whose connection it was written last; nil: by none that is left
	previous, next *Outgoing // on that connection, in the order in which they were written
}

// Result is what became of a message that was to be published.
type Result int

// The results of [Session.Publish].
const (
	// Sent: in flight. The handler is told of the acknowledgement.
	Sent Result = iota
	// Written: on its way at QoS 0.
	Written
	// Full: as much is in flight, or written and not taken by the server, as may be, or
	// the server has yet to release QoS 2 messages of before. Publish it again when the
	// handler's Ready is called.
	Full
	// TooLarge: the server does not take packets of this size ([MQTT-3.2.2-15]).
	TooLarge
	// Expired: its message expiry interval has passed (MQTT 5 section 3.3.2.3.3).
	Expired
	// Ended: the session has ended, or is being closed.
	Ended
)

// fullBuffer is how many bytes may be written and not taken by the server.
const fullBuffer = 128 << 10

// Publish writes a message; [Session.Flush] sends it, and the session does so itself
// whenever it is idle. It does not block. If the server has a lower maximum QoS, or
// keeps no retained messages, the message is sent accordingly ([MQTT-3.2.2-11],
// [MQTT-3.2.2-14]).
//
// A message that is in flight in a session that the server has resumed goes on where it
// stopped, under its packet identifier: PUBLISH with DUP, or PUBREL ([MQTT-4.4.0-1]). To
// keep the order ([MQTT-4.6.0-1]), publish these messages first, and in the order of the
// first time.
func (s *Session) Publish(m *Outgoing, now time.Time) Result {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	out := &s.state.out
	if !s.writable() {
		return Ended
	}
	if m.id != 0 && out.get(m.id) == m {
		if m.stage == released || s.takes(m, now) {
			return s.goOn(m, now)
		}
		out.forget(m) // it is a new message to a server that has other limits now
	}
	qos := min(m.QoS, s.server.MaximumQoS)
	if out.support == qos2Rejected {
		qos = min(qos, 1)
	}
	if s.full(qos) {
		return Full
	}
	p, expired := s.packet(m, now)
	if expired {
		return Expired
	}
	id := uint16(0)
	if qos > 0 {
		if id = s.identify(qos, now); id == 0 {
			s.blocked = true
			return Full
		}
	}
	p.QoS = qos
	s.alias(&p)
	if !s.fits(&p) {
		return TooLarge
	}
	if qos == 0 {
		s.buf = packet.AppendPublish(s.buf, s.version, &p)
		return Written
	}
	m.qos = qos
	out.add(m, id)
	s.track(m, now)
	s.send(m, &p)
	return Sent
}

// full reports whether nothing more may be written at this QoS now, and has the handler's
// Ready called when that has changed. The lock is held.
func (s *Session) full(qos byte) bool {
	window := qos > 0 && s.unacknowledged >= s.limit
	written := len(s.buf) >= fullBuffer || s.conn.socket.buffered() >= fullBuffer
	s.blocked, s.choked = s.blocked || window, s.choked || written
	return window || written
}

// identify returns an identifier for a new message, or 0 if there is none now. Before a
// QoS 2 message it has the server release those that it may hold under identifiers that
// are not in flight here: messages of a process that has ended, or of before a switch to
// another server. Otherwise the server would treat the next message under such an
// identifier as the message that it holds, and drop it (section 4.3.3). The lock is held.
func (s *Session) identify(qos byte, now time.Time) uint16 {
	out := &s.state.out
	switch {
	case qos < 2 || len(out.stale) == 0:
		return out.identify(qos)
	case out.support == qos2Doubtful && out.qos2 == 0 && !s.releasing:
		return out.trialID()
	case out.support == qos2Assumed:
		s.releaseStale(now)
	}
	return 0
}

// releaseStale writes the PUBRELs that were not written on this connection. The lock is
// held.
func (s *Session) releaseStale(now time.Time) {
	out := &s.state.out
	if !out.releaseDue { // it is asked for with each message that waits
		return
	}
	out.releaseDue = false
	ids := out.unreleased(s)
	if len(ids) > 0 && s.unacknowledged == 0 {
		s.progressed = now
	}
	for _, id := range ids {
		s.acknowledge(packet.PUBREL, id, 0)
		out.stale[id] = s
	}
	s.releasing = true
	select {
	case s.released <- struct{}{}:
	default:
	}
}

// goOn writes a message that is in flight since an earlier connection. The lock is held.
func (s *Session) goOn(m *Outgoing, now time.Time) Result {
	if m.session == s {
		return Sent
	}
	if s.full(m.qos) {
		return Full
	}
	s.track(m, now)
	if m.stage == released {
		s.acknowledge(packet.PUBREL, m.id, 0)
		return Sent
	}
	p, _ := s.packet(m, now) // an expired one is the server's to drop: it may have it
	p.Dup, p.QoS = true, m.qos
	s.alias(&p)
	s.send(m, &p)
	return Sent
}

// track notes that m is written on this connection and not acknowledged. The lock is
// held.
func (s *Session) track(m *Outgoing, now time.Time) {
	if s.unacknowledged == 0 {
		s.progressed = now
	}
	s.unacknowledged++
	m.session, m.previous, m.next = s, s.last, nil
	if s.last == nil {
		s.first = m
	} else {
		s.last.next = m
	}
	s.last = m
}

// untrack is the opposite of track.
func (s *Session) untrack(m *Outgoing) {
	s.unacknowledged--
	if m.previous == nil {
		s.first = m.next
	} else {
		m.previous.next = m.next
	}
	if m.next == nil {
		s.last = m.previous
	} else {
		m.next.previous = m.previous
	}
	m.session, m.previous, m.next = nil, nil, nil
}

// fits reports whether the server takes a packet of this size.
func (s *Session) fits(p *packet.Publish) bool {
	most := packet.MaxSize
	if s.server.MaximumPacketSize > 0 {
		most = min(most, int(s.server.MaximumPacketSize))
	}
	return packet.SizePublish(s.version, p) <= most
}

// packet makes a PUBLISH of a message. It reports whether the message has expired.
func (s *Session) packet(m *Outgoing, now time.Time) (p packet.Publish, expired bool) {
	p = packet.Publish{
		Topic:   m.Topic,
		Payload: m.Payload,
		Retain:  m.Retain && s.server.RetainAvailable,
	}
	if m.Properties == nil {
		return p, false
	}
	left := int64(1)
	if m.Properties.Expires {
		left = int64(m.Properties.Expiry) - int64(now.Sub(m.At)/time.Second)
	}
	if s.version != packet.V5 {
		return p, left <= 0 // also where the server knows no expiry: nobody else drops it
	}
	p.Properties = m.Properties
	if m.Properties.Expires {
		properties := *m.Properties
		properties.Expiry = uint32(max(left, 0))
		p.Properties = &properties
	}
	return p, left <= 0
}

// send writes the PUBLISH of a message that has an identifier. The lock is held.
func (s *Session) send(m *Outgoing, p *packet.Publish) {
	p.ID = m.id
	s.buf = packet.AppendPublish(s.buf, s.version, p)
}

const (
	// minAliased is the length of the shortest topic that has an alias, in bytes. An alias
	// takes three bytes, and at most one more for the length of the properties: with a
	// shorter topic the packet is larger than without.
	minAliased = 4
	// maxAliased bounds what the topics with aliases take, in bytes: servers allow 65,535
	// aliases, and topics of 64 KiB.
	maxAliased = 1 << 20
	// aliasOverhead is roughly what an entry takes besides its topic.
	aliasOverhead = 64
)

// alias replaces the topic by its alias, or gives it one if the server allows one more
// (MQTT 5 section 3.3.2.3.4) and the packet does not become too large by that. A packet
// with an alias in place of the topic is never larger than without. Aliases are the
// connection's: they end with it.
func (s *Session) alias(p *packet.Publish) {
	if s.aliases == nil || len(p.Topic) < minAliased {
		return
	}
	if a, ok := s.aliases[p.Topic]; ok {
		p.TopicAlias, p.Topic = a, ""
		return
	}
	if len(s.aliases) >= int(s.server.TopicAliasMaximum) || s.aliased+len(p.Topic)+aliasOverhead > maxAliased {
		return
	}
	p.TopicAlias = uint16(len(s.aliases) + 1) //nolint:gosec // at most the maximum
	if !s.fits(p) {
		p.TopicAlias = 0
		return
	}
	s.aliases[strings.Clone(p.Topic)] = p.TopicAlias // it may be a part of a large packet
	s.aliased += len(p.Topic) + aliasOverhead
}

// takes reports whether the server still takes a message as it was sent. It may have
// been configured anew. The lock is held.
func (s *Session) takes(m *Outgoing, now time.Time) bool {
	p, _ := s.packet(m, now)
	p.QoS = m.qos
	return m.qos <= s.server.MaximumQoS && s.fits(&p)
}
