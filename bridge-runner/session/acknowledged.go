// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// Refusal is why a server did not take a message: a reason code of 0x80 or more in PUBACK
// or PUBREC (MQTT 5 sections 3.4.2.1 and 3.5.2.1).
type Refusal struct {
	*Error
	Code byte
}

// Final reports whether the server refuses the message itself, and would do so again. With
// any other code it may take the message later.
func (r *Refusal) Final() bool {
	switch r.Code {
	case codeNotAuthorized, codeTopicNameInvalid, codePayloadFormatInvalid:
		return true
	}
	return false
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
	out := &s.state.out
	var code byte
	m := out.get(a.ID)
	switch {
	case m != nil && m.qos == 2:
		m.stage = released
		s.progressed = s.now
		out.hasQoS2()
	case s.version == packet.V5:
		code = codeIDNotFound
	}
	s.acknowledge(packet.PUBREL, a.ID, code)
}

// completed ends a delivery: by PUBACK, PUBCOMP, or a PUBREC that refuses.
func (s *Session) completed(a packet.Ack) {
	m, refusal := s.complete(a)
	s.freed = true
	if m != nil {
		s.handler.Acknowledged(m, refusal)
	}
}

// complete ends the delivery of the message that it returns; nil: of none.
func (s *Session) complete(a packet.Ack) (*Outgoing, *Refusal) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	out := &s.state.out
	m := out.get(a.ID)
	if _, stale := out.stale[a.ID]; stale && a.Type == packet.PUBCOMP {
		delete(out.stale, a.ID)
		out.rejected, out.tried = 0, false
		s.progressed, s.releasedSome = s.now, true
	}
	switch {
	case m == nil,
		a.Type != packet.PUBACK && m.qos == 1,
		a.Type == packet.PUBCOMP && m.stage != released:
		// Of a message that an earlier process sent. A PUBACK at QoS 2 counts: RabbitMQ takes
		// such messages at QoS 1.
		return nil, nil
	}
	s.progressed = s.now
	if m == s.first {
		s.overtaken = time.Time{}
	} else if s.overtaken.IsZero() {
		s.overtaken = s.now
	}
	out.remove(m)
	switch {
	case a.Code >= codeRefused && a.Type != packet.PUBCOMP:
		if a.Code == codeIDInUse {
			out.markStale(a.ID)
		}
		a.Reason = s.withoutSecrets(a.Reason)
		return m, &Refusal{Error: publishError(m.Topic, a), Code: a.Code}
	case a.Type == packet.PUBACK && m.qos == 2:
		out.hasNoQoS2()
	}
	return m, nil
}

// publishError explains why a server refuses a message.
func publishError(topic string, a packet.Ack) *Error {
	switch a.Code {
	case codeNotAuthorized:
		return newError(v1alpha1.ReasonPublishRefused, fmt.Sprintf("the server does not authorise the bridge to publish to %q (reason code 0x87%s); allow the bridge's user to write it, or change the rule's topic", topic, quoted(a.Reason)), nil)
	case codeTopicNameInvalid:
		return newError(v1alpha1.ReasonPublishRefused, fmt.Sprintf("the server does not accept the topic %q (reason code 0x90%s); change the rule's topic", topic, quoted(a.Reason)), nil)
	case codePayloadFormatInvalid:
		return newError(v1alpha1.ReasonPublishRefused, fmt.Sprintf("the server does not accept the payload of a message to %q: it is not in the format that the message announces (reason code 0x99%s); correct its publisher", topic, quoted(a.Reason)), nil)
	case codeIDInUse:
		return newError(v1alpha1.ReasonProtocolError, "the server takes a packet identifier for that of another message (reason code 0x91"+quoted(a.Reason)+"); the message is sent again under a new one", nil)
	case codeQuotaExceeded:
		return newError(v1alpha1.ReasonQuotaExceeded, "the server's quota is exceeded (reason code 0x97"+quoted(a.Reason)+"); raise it, or send less", nil)
	}
	return newError(v1alpha1.ReasonPublishRefused, fmt.Sprintf("the server refuses a message to %q (reason code 0x%02x%s)", topic, a.Code, quoted(a.Reason)), nil)
}
