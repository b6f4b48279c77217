// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"strings"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
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

	id             uint16 // its packet identifier, 0 while it is not in flight
	qos            byte   // at which it is in flight
	stage          stage
	previous, next *Outgoing // in flight
}

// Result is what became of a message that was to be published.
type Result int

// The results of [Session.Publish].
const (
	// Sent: in flight. The handler is told of the acknowledgement.
	Sent Result = iota
	// Written: on its way at QoS 0.
	Written
	// Full: as much is in flight, or written and not taken by the server, as may be.
	// Publish it again when the handler is told of an acknowledgement, or that the
	// session is ready.
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

// Publish writes a message; [Session.Flush] sends it, which the session does itself
// whenever it is idle. It does not block. Where the server has a lower maximum QoS, or
// keeps no retained messages, the message is sent accordingly ([MQTT-3.2.2-11],
// [MQTT-3.2.2-14]).
func (s *Session) Publish(m *Outgoing, now time.Time) Result {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	out := &s.state.out
	qos := min(m.QoS, s.server.MaximumQoS)
	switch {
	case !s.writable():
		return Ended
	case qos > 0 && !out.room():
		s.wanted = true
		return Full
	case len(s.buf) >= fullBuffer || s.conn.socket.buffered() >= fullBuffer:
		s.wanted = true
		return Full
	}
	p, expired := s.packet(m, now)
	if expired {
		return Expired
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
	if out.count == 0 {
		s.progressed = now
	}
	if m.qos = qos; qos == 2 && out.sweep && !out.inexact {
		s.sweep()
	}
	out.add(m)
	s.unacknowledged++
	s.send(m, &p)
	return Sent
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
	m.stage = published
	s.buf = packet.AppendPublish(s.buf, s.version, p)
}

// sweep has the server release the QoS 2 messages that it holds under identifiers that
// are not those of QoS 2 messages in flight here: those of a process that has ended, or
// of before a switch to another server. Otherwise it would take the next message under
// such an identifier for the one that it holds, and drop it (section 4.3.3). The
// PUBCOMPs come before all else that the server says of those identifiers. The lock is
// held.
func (s *Session) sweep() {
	out := &s.state.out
	for id, m := range out.slots {
		if id > 0 && (m == nil || m.qos < 2) { // one of QoS 1 may be under the same
			s.acknowledge(packet.PUBREL, uint16(id), 0)
		}
	}
	out.sweep, out.used = false, 0
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

// resend writes again what is in flight in a session that the server has resumed, as
// far as its receive maximum allows: PUBLISH with DUP, or PUBREL ([MQTT-4.4.0-1]).
// The lock is held.
func (s *Session) resend() {
	out := &s.state.out
	if !s.resumed {
		return
	}
	var next *Outgoing
	for m := out.first; m != nil; m = next {
		next = m.next
		if m.stage == released {
			continue
		}
		if !s.takes(m) {
			out.sweep = out.sweep || m.qos == 2
			out.remove(m) // whose message it is publishes it anew, and is told
			continue
		}
		s.resends++
	}
	out.resend = out.first
	s.progressed = s.now
	s.resendSome()
}

// takes reports whether the server still takes a message as it was sent. It may have
// been configured anew.
func (s *Session) takes(m *Outgoing) bool {
	p, _ := s.packet(m, s.now)
	p.QoS = m.qos
	return m.qos <= s.server.MaximumQoS && s.fits(&p)
}

// resendSome goes on with resend. The lock is held.
func (s *Session) resendSome() {
	out := &s.state.out
	for ; out.resend != nil; out.resend = out.resend.next {
		if s.unacknowledged >= out.limit {
			return
		}
		s.unacknowledged++
		m := out.resend
		if m.stage == released {
			s.acknowledge(packet.PUBREL, m.id, 0)
			continue
		}
		p, _ := s.packet(m, s.now) // an expired one is the server's to drop: it may have it
		p.Dup, p.QoS = true, m.qos
		s.alias(&p)
		s.send(m, &p)
	}
}

// pubrec answers a PUBREC (section 3.5): by a PUBREL, also for a message that is not
// known ([MQTT-4.3.3-4], section 4.4).
func (s *Session) pubrec(a packet.Ack) {
	if a.Code >= codeRefused {
		s.completed(a)
		return
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	var code byte
	m := s.state.out.get(a.ID)
	switch {
	case m != nil && m.qos == 2:
		m.stage = released
		s.progressed = s.now
	case s.version == packet.V5:
		code = codeIDNotFound
	}
	s.acknowledge(packet.PUBREL, a.ID, code)
}

// completed ends a delivery: by PUBACK, PUBCOMP, or a PUBREC that refuses.
func (s *Session) completed(a packet.Ack) {
	s.state.mu.Lock()
	out := &s.state.out
	m := out.get(a.ID)
	switch {
	case m == nil,
		a.Type != packet.PUBACK && m.qos == 1,
		a.Type == packet.PUBCOMP && m.stage != released:
		// Of a message that an earlier process sent, or of a sweep. A PUBACK at QoS 2
		// counts: RabbitMQ takes such messages at QoS 1.
		s.state.mu.Unlock()
		return
	}
	s.progressed = s.now
	if m == out.first {
		s.overtaken = time.Time{}
	} else if s.overtaken.IsZero() {
		s.overtaken = s.now
	}
	out.remove(m)
	s.unacknowledged--
	if out.resend != nil {
		s.resendSome()
	}
	s.state.mu.Unlock()
	var refused *Error
	if a.Code >= codeRefused && a.Type != packet.PUBCOMP {
		refused = publishError(m.Topic, a)
		if a.Code == codeQuotaExceeded || a.Code == codeIDInUse {
			s.end(refused) // it goes to the next session, under another identifier
			return
		}
	}
	s.handler.Acknowledged(m, refused)
}

// publishError explains why a server refuses a message.
func publishError(topic string, a packet.Ack) *Error {
	switch a.Code {
	case 0x87:
		return newError(v1alpha1.ReasonPublishRefused, fmt.Sprintf("the server does not authorise the bridge to publish to %q (reason code 0x87%s); allow the bridge's user to write it, or change the rule's topic", topic, quoted(a.Reason)), nil)
	case 0x90:
		return newError(v1alpha1.ReasonPublishRefused, fmt.Sprintf("the server does not accept the topic %q (reason code 0x90%s); change the rule's topic", topic, quoted(a.Reason)), nil)
	case codeIDInUse:
		return newError(v1alpha1.ReasonProtocolError, "the server takes a packet identifier for that of another message (reason code 0x91"+quoted(a.Reason)+"); the message is sent again under a new one", nil)
	case codeQuotaExceeded:
		return newError(v1alpha1.ReasonQuotaExceeded, "the server's quota is exceeded (reason code 0x97"+quoted(a.Reason)+"); raise it, or send less", nil)
	}
	return newError(v1alpha1.ReasonPublishRefused, fmt.Sprintf("the server refuses a message to %q (reason code 0x%02x%s)", topic, a.Code, quoted(a.Reason)), nil)
}
