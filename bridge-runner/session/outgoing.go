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

// Outgoing is a message to a server. It must not be changed while a session or a [State]
// uses it.
type Outgoing struct {
	Message
	// ReceivedAt is when the message arrived. Its expiry interval starts then.
	ReceivedAt time.Time
	// Owner belongs to the caller. The session does not use it.
	Owner any

	// The State's lock guards the fields below.

	// id is the packet identifier. It is 0 while the message is not in flight.
	id uint16
	// qos is the QoS at which the message is in flight. It and stage are valid while it is in
	// flight.
	qos   byte
	stage stage
	// session is the session on whose connection the message was written. It is nil if the
	// message was not written on the current connection.
	session *Session
	// previous and next link the unacknowledged messages of session, in the order in which they
	// were written.
	previous, next *Outgoing
}

// Result is the outcome of publishing a message.
type Result int

// The results of [Session.Publish].
const (
	// Sent: the message is in flight. The handler's Acknowledged is called later.
	Sent Result = iota
	// Written: the message is written at QoS 0.
	Written
	// Full: the window is full, or too much data is written and not accepted by the system,
	// or the server has not yet released stale QoS 2 identifiers. Publish the message again
	// when the handler's Ready is called.
	Full
	// TooLarge: the server does not accept packets of this size ([MQTT-3.2.2-15]).
	TooLarge
	// Expired: its message expiry interval has passed (MQTT 5 section 3.3.2.3.3).
	Expired
	// Ended: the session has ended or is being closed.
	Ended
)

// maxUnsent is the number of bytes that may be written and not accepted by the system.
const maxUnsent = 128 << 10

// Publish writes a message. [Session.Flush] sends it, and the session sends it itself
// whenever it becomes idle. Publish does not block. If the server has a lower maximum QoS,
// or does not support retained messages, the message is sent accordingly ([MQTT-3.2.2-11],
// [MQTT-3.2.2-14]).
//
// A message in flight in a session that the server has resumed continues under its packet
// identifier: as PUBLISH with DUP, or as PUBREL ([MQTT-4.4.0-1]). To keep the order
// ([MQTT-4.6.0-1]), publish these messages first, and in their original order.
func (s *Session) Publish(m *Outgoing, now time.Time) Result {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	out := &s.state.out
	if !s.writableLocked() {
		return Ended
	}
	if m.id != 0 && out.get(m.id) == m {
		if m.stage == stageReleased || s.stillAcceptedLocked(m, now) {
			return s.resumeDeliveryLocked(m, now)
		}
		out.forget(m) // the server has other limits now: m is a new message to it
	}
	qos := min(m.QoS, s.server.MaximumQoS)
	if out.support == qos2Unusable {
		qos = min(qos, 1)
	}
	if s.fullLocked(qos) {
		return Full
	}
	p, expired := s.makePublish(m, now)
	if expired {
		return Expired
	}
	id := uint16(0)
	if qos > 0 {
		if id = s.nextIDLocked(qos, now); id == 0 {
			s.publishBlocked = true
			return Full
		}
	}
	p.QoS = qos
	s.aliasLocked(&p)
	if !s.fits(&p) {
		return TooLarge
	}
	if qos == 0 {
		s.unflushed = packet.AppendPublish(s.unflushed, s.version, &p)
		return Written
	}
	m.qos = qos
	out.add(m, id)
	s.trackOutgoingLocked(m, now)
	s.writePublishLocked(m, &p)
	return Sent
}

// fullLocked reports whether no more may be written at this QoS at present. If so, the
// handler's Ready is called when that has changed.
func (s *Session) fullLocked(qos byte) bool {
	window := qos > 0 && s.unackedOutgoing >= s.inflightLimit
	written := len(s.unflushed) >= maxUnsent || s.conn.Buffered() >= maxUnsent
	s.publishBlocked, s.writeBlocked = s.publishBlocked || window, s.writeBlocked || written
	return window || written
}

// nextIDLocked returns an identifier for a new message, or 0 if there is none at present.
// Before a QoS 2 message it makes the server release the stale QoS 2 identifiers: the
// server may hold messages of a process that has ended, or from before a switch to another
// server. Otherwise the server would treat the next message under such an identifier as the
// message that it holds, and drop it (section 4.3.3).
func (s *Session) nextIDLocked(qos byte, now time.Time) uint16 {
	out := &s.state.out
	switch {
	case qos < 2 || len(out.stale) == 0:
		return out.nextID(qos)
	case out.support == qos2Doubtful && out.qos2InFlight == 0 && !s.pubrelsSent:
		return out.trialID()
	case out.support == qos2Assumed:
		s.releaseStaleQoS2Locked(now)
	}
	return 0
}

// releaseStaleQoS2Locked writes the PUBRELs that were not written on this connection.
func (s *Session) releaseStaleQoS2Locked(now time.Time) {
	out := &s.state.out
	if !out.releaseDue { // each message that waits calls this function
		return
	}
	out.releaseDue = false
	ids := out.staleWithoutPubrel(s)
	if len(ids) > 0 && s.unackedOutgoing == 0 {
		s.lastAckAt = now
	}
	for _, id := range ids {
		s.writeAckLocked(packet.PUBREL, id, 0)
		out.stale[id] = s
	}
	s.pubrelsSent = true
	select {
	case s.releaseStarted <- struct{}{}:
	default:
	}
}

// resumeDeliveryLocked writes a message that is in flight since an earlier connection.
func (s *Session) resumeDeliveryLocked(m *Outgoing, now time.Time) Result {
	if m.session == s {
		return Sent
	}
	if s.fullLocked(m.qos) {
		return Full
	}
	s.trackOutgoingLocked(m, now)
	if m.stage == stageReleased {
		s.writeAckLocked(packet.PUBREL, m.id, 0)
		return Sent
	}
	p, _ := s.makePublish(m, now) // if it has expired, the server drops it: the server may have it
	p.Dup, p.QoS = true, m.qos
	s.aliasLocked(&p)
	s.writePublishLocked(m, &p)
	return Sent
}

// trackOutgoingLocked records that m is written on this connection and not acknowledged.
func (s *Session) trackOutgoingLocked(m *Outgoing, now time.Time) {
	if s.unackedOutgoing == 0 {
		s.lastAckAt = now
	}
	s.unackedOutgoing++
	m.session, m.previous, m.next = s, s.lastUnacked, nil
	if s.lastUnacked == nil {
		s.firstUnacked = m
	} else {
		s.lastUnacked.next = m
	}
	s.lastUnacked = m
}

// untrackOutgoingLocked reverses trackOutgoingLocked.
func (s *Session) untrackOutgoingLocked(m *Outgoing) {
	s.unackedOutgoing--
	if m.previous == nil {
		s.firstUnacked = m.next
	} else {
		m.previous.next = m.next
	}
	if m.next == nil {
		s.lastUnacked = m.previous
	} else {
		m.next.previous = m.previous
	}
	m.session, m.previous, m.next = nil, nil, nil
}

// fits reports whether the server accepts a packet of this size.
func (s *Session) fits(p *packet.Publish) bool {
	largest := packet.MaxSize
	if s.server.MaximumPacketSize > 0 {
		largest = min(largest, int(s.server.MaximumPacketSize))
	}
	return packet.SizePublish(s.version, p) <= largest
}

// makePublish makes the PUBLISH of a message. It reports whether the message has expired.
func (s *Session) makePublish(m *Outgoing, now time.Time) (p packet.Publish, expired bool) {
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
		left = int64(m.Properties.Expiry) - int64(now.Sub(m.ReceivedAt)/time.Second)
	}
	if s.version != packet.V5 {
		return p, left <= 0 // applies in 3.1.1, too: the server does not know the expiry, so no other program drops the message
	}
	p.Properties = m.Properties
	if m.Properties.Expires {
		properties := *m.Properties
		properties.Expiry = uint32(max(left, 0))
		p.Properties = &properties
	}
	return p, left <= 0
}

// writePublishLocked writes the PUBLISH of a message that has an identifier.
func (s *Session) writePublishLocked(m *Outgoing, p *packet.Publish) {
	p.ID = m.id
	s.unflushed = packet.AppendPublish(s.unflushed, s.version, p)
}

const (
	// minAliasedTopic is the length of the shortest topic that gets an alias, in bytes. An
	// alias takes three bytes, and at most one more for the length of the properties: with
	// a shorter topic the packet would become larger.
	minAliasedTopic = 4
	// maxAliasBytes bounds the memory of the topics with aliases, in bytes: servers allow
	// 65,535 aliases, and topics of 64 KiB.
	maxAliasBytes = 1 << 20
	// aliasOverhead is roughly the memory of an entry besides its topic, in bytes.
	aliasOverhead = 64
)

// aliasLocked replaces the topic by its alias. A topic without an alias gets one if the
// server allows one more (MQTT 5 section 3.3.2.3.4) and the packet does not become too
// large. A packet with an alias in place of the topic is never larger than the original
// packet. Aliases belong to the connection and end with it.
func (s *Session) aliasLocked(p *packet.Publish) {
	if s.aliases == nil || len(p.Topic) < minAliasedTopic {
		return
	}
	if a, ok := s.aliases[p.Topic]; ok {
		p.TopicAlias, p.Topic = a, ""
		return
	}
	if len(s.aliases) >= int(s.server.TopicAliasMaximum) || s.aliasBytes+len(p.Topic)+aliasOverhead > maxAliasBytes {
		return
	}
	p.TopicAlias = uint16(len(s.aliases) + 1) //nolint:gosec // at most the maximum
	if !s.fits(p) {
		p.TopicAlias = 0
		return
	}
	s.aliases[strings.Clone(p.Topic)] = p.TopicAlias // the topic may be a part of a large packet
	s.aliasBytes += len(p.Topic) + aliasOverhead
}

// stillAcceptedLocked reports whether the server still accepts a message as it was sent
// before. The server's configuration may have changed.
func (s *Session) stillAcceptedLocked(m *Outgoing, now time.Time) bool {
	p, _ := s.makePublish(m, now)
	p.QoS = m.qos
	return m.qos <= s.server.MaximumQoS && s.fits(&p)
}
