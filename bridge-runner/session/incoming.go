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
	if p.ID != 0 && (s.refusing || s.hold(m)) {
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
				m.acked = true
				s.arrived(m)
				s.state.mu.Unlock()
				s.handler.Redelivered(m)
				return true
			}
			held.forgetOthers()
		}
	}
	if o := held.held[m.ID]; o != nil && m.Dup {
		if o.session == s || sameContent(&o.Publish, &m.Publish) {
			if o.session != s {
				o.session = s
				s.arrived(o)
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
	s.arrived(m)
	return false
}

// arrived notes that the server sent a message on this connection, and acknowledges it if it
// was delivered while there was no connection. The lock is held.
func (s *Session) arrived(m *Inbound) {
	s.unacked = append(s.unacked, m)
	s.acknowledgeInOrder()
}

// acknowledgeInOrder acknowledges the messages that are delivered, up to the first that is
// not: PUBACK and PUBREC go out in the order in which the messages came on this connection
// ([MQTT-4.6.0-2], [MQTT-4.6.0-3]). The lock is held.
func (s *Session) acknowledgeInOrder() {
	for s.acked < len(s.unacked) && s.unacked[s.acked].acked {
		s.acknowledgeInbound(s.unacked[s.acked])
		s.unacked[s.acked] = nil
		s.acked++
	}
	switch {
	case s.acked == len(s.unacked):
		s.unacked, s.acked = s.unacked[:0], 0
	case s.acked >= 1024 && s.acked > len(s.unacked)/2:
		n := copy(s.unacked, s.unacked[s.acked:])
		clear(s.unacked[n:])
		s.unacked, s.acked = s.unacked[:n], 0
	}
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
		m.session.acknowledgeInOrder()
	}
}

// Refuse leaves a QoS 1 or 2 message to the server, without an acknowledgement, and all
// that come after it on this connection, so that the order is kept. The server sends them
// again on the next connection, for which [Session.Renew] asks. Refuse reports false if the
// server will not, because the session ends with the connection: the message is received
// then. It may be called only by [Handler.Received].
func (m *Inbound) Refuse() bool {
	s := m.session
	if s == nil || s.cfg.CleanStart || s.server.HasSessionExpiry && s.server.SessionExpiry == 0 {
		return false
	}
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	s.refusing = true
	if n := len(s.unacked); n > 0 && s.unacked[n-1] == m {
		s.unacked[n-1] = nil
		s.unacked = s.unacked[:n-1]
	}
	if m.state.in.held[m.ID] == m {
		delete(m.state.in.held, m.ID)
	}
	return true
}

// Session is that by whose connection the message came last; nil if it has ended and
// another one has begun.
func (m *Inbound) Session() *Session {
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	return m.session
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
