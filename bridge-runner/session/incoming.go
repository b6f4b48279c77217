// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// Inbound is a message that the server sent.
type Inbound struct {
	packet.Publish
	// At is when it came.
	At time.Time

	state   *State
	session *Session // by whose connection it came last; nil: by none that is left
	acked   bool
}

// received hands a message on, unless it is held already (sections 3.3 and 4.3). One that
// has faults is handed on, too: it is acknowledged in its turn. One without a packet
// identifier cannot be acknowledged.
func (s *Session) received(p *packet.Publish) {
	m := &Inbound{Publish: *p, At: s.now, state: s.state, session: s}
	if p.ID != 0 && s.hold(m) {
		return
	}
	s.handler.Received(m)
}

// hold notes a QoS 1 or 2 message until it is acknowledged. It reports whether that
// is all: the message is one that the server has sent before.
//
// A server that resumes a session sends again what was not acknowledged, with the
// packet identifier of the first time and the DUP flag ([MQTT-4.4.0-1]), and it may
// not use an identifier for another message before it is acknowledged. Some servers
// number messages anew all the same (RabbitMQ does), and a URL may stand for several
// servers, of which another resumes a session of its own. So the content has to be
// the same, too, and what is held must not come under another identifier: messages
// that say the same are told apart by that. Where it once is not so, nothing that came
// by earlier connections is taken for held: some messages are forwarded twice, and
// nothing is lost.
//
// A server that exceeds the bridge's receive maximum is borne with: Mosquitto 2.0.11
// does where its max_inflight_messages is higher, and would do so again after each
// reconnect.
func (s *Session) hold(m *Inbound) (handled bool) {
	s.state.mu.Lock()
	held := &s.state.in
	if m.QoS == 2 {
		if hash, ok := held.received[m.ID]; ok {
			if m.Dup && hash == contentHash(&m.Publish) { // section 4.3.3
				s.acknowledge(packet.PUBREC, m.ID, 0)
				s.state.mu.Unlock()
				s.handler.Redelivered(m)
				return true
			}
			held.forgetOthers()
		}
	}
	if o := held.held[m.ID]; o != nil && m.Dup {
		if o.session == s || sameContent(&o.Publish, &m.Publish) {
			o.session = s
			if o.acked { // delivered while there was no connection
				s.acknowledgeInbound(o)
			}
			s.state.mu.Unlock()
			s.handler.Redelivered(m)
			return true
		}
		held.forgetOthers()
	}
	defer s.state.mu.Unlock()
	if m.Dup && held.held[m.ID] == nil && held.elsewhere(m) {
		held.forgetHeld(m.QoS)
	}
	held.held[m.ID] = m
	return false
}

// Ack acknowledges the message to the server: PUBACK at QoS 1 (section 3.4), PUBREC
// at QoS 2 (section 3.5). It does not block; [Session.Flush] sends it. Where the
// connection is gone, the message is acknowledged when the server sends it again.
func (m *Inbound) Ack() {
	if m.ID == 0 {
		return
	}
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	m.acked = true
	if m.session != nil && m.session.writable() {
		m.session.acknowledgeInbound(m)
	}
}

// acknowledgeInbound ends the holding of m. The lock is held.
func (s *Session) acknowledgeInbound(m *Inbound) {
	if s.state.in.held[m.ID] == m {
		delete(s.state.in.held, m.ID)
	}
	if m.QoS == 1 {
		s.acknowledge(packet.PUBACK, m.ID, 0)
		return
	}
	s.state.in.received[m.ID] = contentHash(&m.Publish)
	s.acknowledge(packet.PUBREC, m.ID, 0)
}

// acknowledge writes an acknowledgement. The lock is held.
func (s *Session) acknowledge(t packet.Type, id uint16, code byte) {
	if s.writable() {
		s.buf = packet.AppendAck(s.buf, s.version, packet.Ack{Type: t, ID: id, Code: code})
	}
}

// pubrel ends the delivery of a QoS 2 message (section 3.6).
func (s *Session) pubrel(id uint16) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	var code byte
	if _, ok := s.state.in.received[id]; !ok && s.version == packet.V5 {
		code = codeIDNotFound
	}
	delete(s.state.in.received, id)
	s.acknowledge(packet.PUBCOMP, id, code)
}
