// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"math"
	"strings"
)

// DecodeConnack decodes a CONNACK (section 3.2) and fills in the defaults of absent
// properties. Authentication, Response Information and User Properties are checked and
// left out. The error is a [*MalformedError]; its code is
// [CodeUnsupportedProtocolVersion] where the server may speak another version only.
func DecodeConnack(v Version, body []byte) (Connack, error) {
	c := Connack{
		ReceiveMaximum:           math.MaxUint16,
		MaximumQoS:               2,
		RetainAvailable:          true,
		WildcardAvailable:        true,
		SubscriptionIDsAvailable: true,
		SharedAvailable:          true,
	}
	r := reader{in: CONNACK, s: string(body)}
	flags := r.uint8("flags")
	c.SessionPresent = flags&1 != 0
	c.Code = r.uint8("code")
	if r.err != nil {
		return Connack{}, r.err
	}
	if err := checkVersion(v, c.Code, len(body)); err != nil {
		return Connack{}, err
	}
	switch {
	case flags > 1: // section 3.2.2.1; [MQTT-3.2.2-1] of 5
		return Connack{}, malformed(CodeMalformedPacket, "a CONNACK with the flags %08b, of which only the last one is in use", flags)
	case c.SessionPresent && c.Code != 0: // [MQTT-3.2.2-4] of 3.1.1, [MQTT-3.2.2-6] of 5
		return Connack{}, malformed(CodeProtocolError, "a CONNACK that refuses with the code %d and says that there is a session", c.Code)
	}
	if v == V5 {
		if err := checkReason(CONNACK, c.Code); err != nil {
			return Connack{}, err
		}
		r.properties(c.set)
	}
	if err := r.end(); err != nil {
		return Connack{}, err
	}
	return c, nil
}

// checkVersion refuses what a server answers that speaks another version only: one of
// 3.1.1 with codes up to 5 and without properties, one of 5 with codes from 0x80.
func checkVersion(v Version, code byte, length int) error {
	const highest311 = 5
	switch {
	case v == V5 && length == 2:
		return malformed(CodeUnsupportedProtocolVersion, "a CONNACK of 2 bytes with the code %d, as MQTT 3.1.1 has it; it may speak that version only", code)
	case v != V5 && code > highest311:
		return malformed(CodeUnsupportedProtocolVersion, "a CONNACK with the code %d, which MQTT 3.1.1 does not have; it may speak another version only", code)
	}
	return nil
}

// set takes over a property (MQTT 5 section 3.2.2.3).
func (c *Connack) set(id byte, v value) {
	switch id {
	case sessionExpiry:
		c.SessionExpiry, c.HasSessionExpiry = v.number, true
	case receiveMaximum:
		c.ReceiveMaximum = v.uint16()
	case maximumQoS:
		c.MaximumQoS = byte(v.number & 1)
	case retainAvailable:
		c.RetainAvailable = v.number == 1
	case maximumPacketSize:
		c.MaximumPacketSize = v.number
	case assignedClientID:
		c.AssignedClientID = strings.Clone(v.s) // a session has it for long, and needs no more of the packet
	case topicAliasMaximum:
		c.TopicAliasMaximum = v.uint16()
	case reasonString:
		c.Reason = strings.Clone(v.s)
	case wildcardAvailable:
		c.WildcardAvailable = v.number == 1
	case subscriptionAvailable:
		c.SubscriptionIDsAvailable = v.number == 1
	case sharedAvailable:
		c.SharedAvailable = v.number == 1
	case serverKeepAlive:
		c.ServerKeepAlive, c.HasServerKeepAlive = v.uint16(), true
	case serverReference:
		c.ServerReference = strings.Clone(v.s)
	}
}
