// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"math"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// Inbound is a message that the server sent.
type Inbound struct {
	packet.Publish
	// ReceivedAt is when the message arrived.
	ReceivedAt time.Time

	state *State
	// session is the session on whose connection the message arrived last. It is nil if a later
	// connection has begun and the server has not sent the message on it. state.mu guards it.
	session *Session
	// acked is whether Ack was called, or the message was acknowledged before. state.mu
	// guards it.
	acked bool
	// acknowledged is whether the acknowledgement is written: the session does not use the content
	// any more. state.mu guards it.
	acknowledged bool
	// body is the buffer that holds the payload. It is nil if the payload has no buffer of its own,
	// and after Release.
	body *body
}

// handlePublish handles a PUBLISH (section 3.3).
func (s *Session) handlePublish(f packet.Frame) error {
	var (
		p   packet.Publish
		own *body
		err error
	)
	if f.Large {
		p, err = packet.DecodeLargePublish(f.Flags, string(f.Body))
	} else {
		var text string
		text, own = s.conn.bodyString(f)
		p, err = packet.DecodePublish(s.version, f.Flags, text)
	}
	if err != nil {
		return err
	}
	if own != nil {
		p.CopyHead() // the buffer is released while the topic and the properties may be in use
	}
	if p.TopicAlias != 0 { // [MQTT-3.1.2-27]
		p.Faults |= packet.FaultTopicAlias
		if p.Topic == "" {
			p.Faults |= packet.FaultNoTopic
		}
	}
	s.report(f, p.Faults, p.Topic)
	s.deliverInbound(&p, own)
	if s.tooManyInbound {
		return protocolError(codeReceiveMaximumExceeded, fmt.Sprintf("more than %d messages without waiting for an acknowledgement, so that their packet identifiers are not unique", maxUnackedInbound))
	}
	return nil
}

// maxUnackedInbound is the number of packet identifiers. A server that has more messages in flight breaks the protocol
// ([MQTT-2.2.1-4] of 5), and could make the bridge hold any number of them.
const maxUnackedInbound = math.MaxUint16

// deliverInbound passes a message to the handler, unless it is already pending (sections
// 3.3 and 4.3). The handler also receives messages with faults, so that it acknowledges
// them in order. A message without a packet identifier cannot be acknowledged.
func (s *Session) deliverInbound(p *packet.Publish, own *body) {
	m := &Inbound{Publish: *p, body: own, ReceivedAt: s.readAt, state: s.state, session: s}
	if p.ID != 0 && (s.refusingInbound || s.trackInbound(m)) {
		return
	}
	s.handler.Received(m)
}

// trackInbound tracks a QoS 1 or 2 message until it is acknowledged. It reports whether the
// message is handled completely, because the server has sent it before.
//
// A server that resumes a session sends unacknowledged messages again, with their previous
// packet identifiers and the DUP flag ([MQTT-4.4.0-1]), and may not reuse an identifier for
// another message before the first is acknowledged. Nevertheless some servers renumber
// messages (RabbitMQ does), and a URL may stand for several servers that each resume their
// own session. So a message counts as sent again only if the content is the same, too, and
// if no pending message with the same content has another identifier, because the
// identifier distinguishes messages with equal content. At the first violation no pending
// message of an earlier connection counts as sent again any more: some messages are then
// forwarded twice, and none is lost.
//
// More messages than the bridge's receive maximum are tolerated, up to maxUnackedInbound: Mosquitto
// 2.0.11 sends them if its max_inflight_messages is higher, and would do so again after each reconnect.
func (s *Session) trackInbound(m *Inbound) (handled bool) {
	s.state.mu.Lock()
	in := &s.state.in
	if m.QoS == 2 {
		if hash, ok := in.awaitingPubrel[m.ID]; ok {
			if m.Dup && hash == contentHash(&m.Publish) { // section 4.3.3
				m.acked = true
				s.recordArrivalLocked(m)
				s.state.mu.Unlock()
				s.handler.Redelivered(m)
				return true
			}
			in.dropPreviousConnections()
		}
	}
	if o := in.pendingAck[m.ID]; o != nil && m.Dup {
		if o.session == s || sameContent(&o.Publish, &m.Publish) {
			if o.session != s {
				o.session = s
				s.recordArrivalLocked(o)
			}
			s.state.mu.Unlock()
			s.handler.Redelivered(m)
			return true
		}
		in.dropPreviousConnections()
	}
	defer s.state.mu.Unlock()
	if m.Dup && in.pendingAck[m.ID] == nil && in.heldUnderOtherID(m) {
		in.dropPendingAck(m.QoS)
	}
	in.pendingAck[m.ID] = m
	s.recordArrivalLocked(m)
	return false
}

// recordArrivalLocked records that the server sent a message on this connection. It
// acknowledges the message if Ack was called while there was no connection.
func (s *Session) recordArrivalLocked(m *Inbound) {
	s.unackedInbound = append(s.unackedInbound, m)
	s.tooManyInbound = len(s.unackedInbound)-s.ackedInbound > maxUnackedInbound
	s.arrivals++
	s.noteArrivalLocked()
	s.acknowledgeInOrderLocked()
}

// acknowledgeInOrderLocked acknowledges the messages for which Ack was called, up to the
// first without: PUBACK and PUBREC are sent in the order in which the messages arrived on
// this connection ([MQTT-4.6.0-2], [MQTT-4.6.0-3]).
func (s *Session) acknowledgeInOrderLocked() {
	for s.ackedInbound < len(s.unackedInbound) && s.unackedInbound[s.ackedInbound].acked {
		s.acknowledgeInboundLocked(s.unackedInbound[s.ackedInbound])
		s.unackedInbound[s.ackedInbound] = nil
		s.ackedInbound++
	}
	switch {
	case s.ackedInbound == len(s.unackedInbound):
		s.unackedInbound, s.ackedInbound = s.unackedInbound[:0], 0
	case s.ackedInbound >= 1024 && s.ackedInbound > len(s.unackedInbound)/2:
		n := copy(s.unackedInbound, s.unackedInbound[s.ackedInbound:])
		clear(s.unackedInbound[n:])
		s.unackedInbound, s.ackedInbound = s.unackedInbound[:n], 0
	}
}

// Ack acknowledges the message to the server: PUBACK at QoS 1 (section 3.4), PUBREC at QoS
// 2 (section 3.5). It does not block; [Flusher.Flush] sends the packet. If the connection
// has ended, the message is acknowledged when the server sends it again.
func (m *Inbound) Ack() {
	if m.ID == 0 {
		return
	}
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	m.acked = true
	if m.session != nil && m.session.writableLocked() {
		m.session.acknowledgeInOrderLocked()
	}
}

// Release makes the buffer of the payload available for another message, and clears Payload. It is
// called when no copy of the string Payload is in use any more. It does nothing if the session still
// needs the payload to recognize the message: a message of QoS 1 or 2 whose acknowledgement is not
// written. The garbage collector removes the buffer of a message that is never released.
func (m *Inbound) Release() {
	if m.body == nil {
		return
	}
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	if m.ID != 0 && !m.acknowledged {
		return
	}
	own := m.body
	m.body, m.Payload = nil, ""
	own.release()
}

// DropContent drops the content of a message that will not be forwarded, and may wait long for its
// acknowledgement.
func (m *Inbound) DropContent() {
	m.Topic, m.Payload, m.Properties, m.body = "", "", nil, nil
}

// LeaveAtServer leaves a QoS 1 or 2 message, and all later messages on this connection,
// unacknowledged at the server, so that the order is kept. The server sends them again on
// the next connection, which [Session.RequestReconnect] requests. LeaveAtServer returns false
// if the server will not send the message again, because the session ends with the connection;
// the message then counts as received. Only [Handler.Received] may call it.
func (m *Inbound) LeaveAtServer() bool {
	s := m.session
	if s == nil || !s.Persistent() {
		return false
	}
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	s.refusingInbound = true
	if n := len(s.unackedInbound); n > 0 && s.unackedInbound[n-1] == m {
		s.unackedInbound[n-1] = nil
		s.unackedInbound = s.unackedInbound[:n-1]
	}
	if m.state.in.pendingAck[m.ID] == m {
		delete(m.state.in.pendingAck, m.ID)
	}
	return true
}

// Session returns the session on whose connection the message arrived last. It is nil if a
// later connection has begun and the server has not sent the message on it, and if no session has
// received the message.
func (m *Inbound) Session() *Session {
	if m.state == nil {
		return nil
	}
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	return m.session
}

// acknowledgeInboundLocked acknowledges m, which is no longer pending.
func (s *Session) acknowledgeInboundLocked(m *Inbound) {
	if s.state.in.pendingAck[m.ID] == m {
		delete(s.state.in.pendingAck, m.ID)
	}
	m.acknowledged = true
	if m.QoS == 1 {
		s.writeAckLocked(packet.PUBACK, m.ID, 0)
		return
	}
	s.state.in.awaitingPubrel[m.ID] = contentHash(&m.Publish)
	s.writeAckLocked(packet.PUBREC, m.ID, 0)
}

// handlePubrel ends the delivery of a QoS 2 message (section 3.6).
func (s *Session) handlePubrel(id uint16) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	var code byte
	if _, ok := s.state.in.awaitingPubrel[id]; !ok && s.version == packet.V5 {
		code = codeIDNotFound
	}
	delete(s.state.in.awaitingPubrel, id)
	s.arrivals++ // the server may send another message after the PUBCOMP
	s.writeAckLocked(packet.PUBCOMP, id, code)
}
