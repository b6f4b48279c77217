// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

// ackOrder are the QoS 1 and 2 messages that came by a connection and are not
// acknowledged on it, in order. PUBACKs go out in the order of the messages, and so do
// PUBRECs ([MQTT-4.6.0-2], [MQTT-4.6.0-3]).
//
// The caller acknowledges messages in the order in which it received them. On a resumed
// session that is not the order of this connection: a message whose acknowledgement the
// server has not read comes again, in front of those that are held since an earlier
// connection, and the caller has it behind them.
type ackOrder [3][]*Inbound // by QoS

// expect adds a message that has come by the connection. The lock is held.
func (o *ackOrder) expect(m *Inbound) { o[m.QoS] = append(o[m.QoS], m) }

// next takes out the first message if it may be acknowledged. The lock is held.
func (o *ackOrder) next(qos byte) *Inbound {
	list := o[qos]
	if len(list) == 0 || !list[0].acked {
		return nil
	}
	m := list[0]
	list[0] = nil
	o[qos] = list[1:]
	return m
}

// acknowledgeInOrder acknowledges the messages of a QoS up to the first that the caller
// has not acknowledged. The lock is held.
func (s *Session) acknowledgeInOrder(qos byte) {
	for m := s.due.next(qos); m != nil; m = s.due.next(qos) {
		s.acknowledgeInbound(m)
	}
}
