// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// Refusal is the reason why a server did not accept a message: a reason code of 0x80 or
// more in PUBACK or PUBREC (MQTT 5 sections 3.4.2.1 and 3.5.2.1).
type Refusal struct{ *Error }

// Final reports whether the server refuses the message itself and would refuse it again.
// With any other code the server may accept the message later.
func (r *Refusal) Final() bool {
	switch r.Code {
	case codeNotAuthorized, codeTopicNameInvalid, codePayloadFormatInvalid:
		return true
	}
	return false
}

// handlePubrec answers a PUBREC (section 3.5) by a PUBREL, also if the message is unknown
// ([MQTT-4.3.3-4], section 4.4).
func (s *Session) handlePubrec(a packet.Ack) {
	if a.Code >= codeRefused {
		s.handleCompletion(a)
		return
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	out := &s.state.out
	var code byte
	m := out.get(a.ID)
	switch {
	case m != nil && m.qos == 2:
		m.stage = stageReleased
		s.lastAckAt = s.readAt
		out.confirmQoS2()
	case s.version == packet.V5:
		code = codeIDNotFound
	}
	s.writeAckLocked(packet.PUBREL, a.ID, code)
}

// handleCompletion handles an acknowledgement that ends a delivery: PUBACK, PUBCOMP, or a
// PUBREC that refuses the message.
func (s *Session) handleCompletion(a packet.Ack) {
	m, refusal := s.completeDelivery(a)
	s.ackedSinceWake = true
	if m != nil {
		s.handler.Acknowledged(m, refusal)
	}
}

// completeDelivery ends the delivery of a message and returns it. It returns nil if the
// acknowledgement ends no delivery.
func (s *Session) completeDelivery(a packet.Ack) (*Outgoing, *Refusal) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	out := &s.state.out
	m := out.get(a.ID)
	if a.Type == packet.PUBCOMP && out.stale.has(a.ID) {
		waited := out.stale.blocksQoS2()
		out.stale.remove(a.ID)
		if waited && !out.stale.blocksQoS2() {
			out.blocks.ask() // they are free from now on, also if no QoS 2 message follows
		}
		out.retiredInARow, out.trialPassed = 0, false
		s.lastAckAt, s.pubrelAnswered = s.readAt, true
		s.releaseMoreLocked(s.readAt)
	}
	switch {
	case m == nil,
		a.Type != packet.PUBACK && m.qos == 1,
		a.Type == packet.PUBCOMP && m.stage != stageReleased:
		// It acknowledges a message of an earlier process. A PUBACK at QoS 2 counts:
		// RabbitMQ accepts such messages at QoS 1.
		return nil, nil
	}
	s.lastAckAt = s.readAt
	if m == s.firstUnacked {
		s.skippedSince = time.Time{}
	} else if s.skippedSince.IsZero() {
		s.skippedSince = s.readAt
	}
	out.remove(m)
	switch {
	case a.Code >= codeRefused && a.Type != packet.PUBCOMP:
		if a.Code == codeIDInUse {
			out.markStale(a.ID)
		}
		return m, &Refusal{&Error{Kind: PublishRefused, Topic: m.Topic, Code: a.Code, Said: s.maskSecrets(a.Reason)}}
	case a.Type == packet.PUBACK && m.qos == 2:
		out.markQoS2Unsupported()
	}
	return m, nil
}
