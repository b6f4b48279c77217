// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import "encoding/binary"

func appendLength(b []byte, n int) []byte {
	for {
		d := byte(n & 127)
		if n >>= 7; n == 0 {
			return append(b, d)
		}
		b = append(b, d|128)
	}
}

func appendText(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

func frame(first byte, body []byte) []byte {
	b := appendLength([]byte{first}, len(body))
	return append(b, body...)
}

func withProperties(body, properties []byte) []byte {
	return append(appendLength(body, len(properties)), properties...)
}

// encodePublish returns a PUBLISH of the server. ids are the Subscription Identifiers.
func encodePublish(version byte, p *Packet, ids []uint32) []byte {
	first := byte(PUBLISH<<4) | p.QoS<<1
	if p.Dup {
		first |= 8
	}
	if p.Retain {
		first |= 1
	}
	body := appendText(make([]byte, 0, len(p.Payload)+len(p.Topic)+16), p.Topic)
	if p.QoS > 0 {
		body = binary.BigEndian.AppendUint16(body, p.ID)
	}
	if version == V5 {
		var properties []byte
		for _, id := range ids {
			if id > 0 {
				properties = appendLength(append(properties, propSubscriptionID), int(id))
			}
		}
		body = withProperties(body, properties)
	}
	return frame(first, append(body, p.Payload...))
}

// encodeAck returns a PUBACK, PUBREC, PUBREL or PUBCOMP.
func encodeAck(version, packetType byte, id uint16, code byte) []byte {
	body := binary.BigEndian.AppendUint16(nil, id)
	if version == V5 && code != 0 {
		body = append(body, code)
	}
	return frame(packetType<<4|headerFlags[packetType], body)
}

// encodeConnack returns a CONNACK with the limits.
func encodeConnack(version byte, present bool, code byte, l *Limits) []byte {
	body := []byte{0, code}
	if present && code == 0 {
		body[0] = 1
	}
	if version != V5 {
		return frame(CONNACK<<4, body)
	}
	var p []byte
	if code == 0 {
		p = l.properties()
	}
	return frame(CONNACK<<4, withProperties(body, p))
}

func (l *Limits) properties() (p []byte) {
	u16 := func(id byte, v uint16) {
		if v > 0 {
			p = binary.BigEndian.AppendUint16(append(p, id), v)
		}
	}
	u16(propReceiveMaximum, l.ReceiveMaximum)
	u16(propTopicAliasMaximum, l.TopicAliasMaximum)
	u16(propServerKeepAlive, l.ServerKeepAlive)
	if l.MaximumPacketSize > 0 {
		p = binary.BigEndian.AppendUint32(append(p, propMaximumPacketSize), l.MaximumPacketSize)
	}
	if l.LowQoS {
		p = append(p, propMaximumQoS, l.MaximumQoS)
	}
	if l.NoRetain {
		p = append(p, propRetainAvailable, 0)
	}
	if l.NoSubscriptionIDs {
		p = append(p, propSubscriptionIDs, 0)
	}
	if l.HasSessionExpiry {
		p = binary.BigEndian.AppendUint32(append(p, propSessionExpiry), l.SessionExpiry)
	}
	return p
}

// encodeCodes returns a SUBACK or UNSUBACK.
func encodeCodes(version, packetType byte, id uint16, codes []byte) []byte {
	body := binary.BigEndian.AppendUint16(nil, id)
	if version == V5 {
		body = append(body, 0)
	}
	if packetType == UNSUBACK && version != V5 {
		codes = nil
	}
	return frame(packetType<<4, append(body, codes...))
}

// encodeDisconnect returns a DISCONNECT of MQTT 5.
func encodeDisconnect(code byte) []byte { return frame(DISCONNECT<<4, []byte{code}) }
