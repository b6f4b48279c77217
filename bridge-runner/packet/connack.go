// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"fmt"
	"math"
	"strings"
)

// DecodeConnack decodes a CONNACK (section 3.2) and fills in the defaults of absent
// properties. It checks the authentication properties, Response Information and User
// Properties, and leaves them out of the result.
//
// It accepts a mistake of the server if the packet's framing is intact and the meaning is
// clear, and records it in [Connack.Violations]. A client that rejected such a CONNACK could
// never connect to that server. If a limit is present twice, the lower one counts. The
// error is a [*MalformedError]. Its code is [CodeUnsupportedProtocolVersion] if the server
// may support only another version.
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
	c.Code = r.uint8("code")
	if r.err != nil {
		return Connack{}, r.err
	}
	if err := checkVersion(v, c.Code, len(body)); err != nil {
		return Connack{}, err
	}
	c.SessionPresent = flags&1 != 0
	if flags > 1 { // section 3.2.2.1; [MQTT-3.2.2-1] of 5
		c.mistake("the reserved flags %08b; ignored", flags&^1)
	}
	if c.SessionPresent && c.Code != 0 { // [MQTT-3.2.2-4] of 3.1.1, [MQTT-3.2.2-6] of 5
		c.SessionPresent = false
		c.mistake("Session Present in a refusal; ignored")
	}
	if v == V5 && len(body) > 2 {
		r.connackProperties(&c)
	}
	if v == V5 && r.s != "" {
		c.mistake("%s after its end; ignored", inBytes(len(r.s)))
		r.s = ""
	}
	if err := r.end(); err != nil {
		return Connack{}, err
	}
	return c, nil
}

// checkVersion rejects a CONNACK from a server that supports only another version. A
// CONNACK of 3.1.1 has no properties, and codes up to 5. A refusal of MQTT 5 has a code
// of 0x80 or above. A code of the other version is accepted in a refusal that has the
// format of version v.
func checkVersion(v Version, code byte, length int) error {
	if v == V5 && length == 2 && code < failure {
		return malformed(CodeUnsupportedProtocolVersion, "a CONNACK of 2 bytes with code %d, in the format of MQTT 3.1.1; the server may support only that version", code)
	}
	return nil
}

// failure is the lowest reason code of MQTT 5 that means failure (section 2.4).
const failure = 0x80

// maxMistakes limits the recorded mistakes, because a server may make any number.
const maxMistakes = 8

func (c *Connack) mistake(format string, args ...any) {
	if len(c.Violations) < maxMistakes {
		c.Violations = append(c.Violations, fmt.Sprintf(format, args...))
	}
}

// connackProperties decodes the properties of a CONNACK (MQTT 5 section 3.2.2.3). The only
// error is a property whose end is unknown.
func (r *reader) connackProperties(c *Connack) {
	length := int(r.varint("property length"))
	if length > len(r.s) {
		r.fail(malformed(CodeMalformedPacket, "a CONNACK with a property length of %d, which exceeds the packet", length))
		return
	}
	rest := r.s[length:]
	r.s = r.s[:length]
	var seen uint64
	for r.s != "" {
		id := r.uint8("properties")
		if int(id) >= len(properties) || properties[id].kind == 0 {
			r.fail(malformed(CodeMalformedPacket, "a CONNACK with the property 0x%02x, which MQTT 5 does not define", id))
			return
		}
		p := &properties[id]
		v := r.looseValue(p, c)
		switch {
		case r.err != nil:
			return
		case p.in>>CONNACK&1 == 0:
			c.mistake("the property 0x%02x, which belongs to other packets; ignored", id)
			continue
		case seen>>id&1 != 0 && !p.repeats:
			c.mistake("more than one %s; the lower or the first is used", p.name)
		}
		c.set(id, v, seen>>id&1 != 0)
		seen |= 1 << id
	}
	r.s = rest
}

// looseValue decodes the value of a property. It replaces invalid characters in texts.
func (r *reader) looseValue(p *property, c *Connack) (v value) {
	loose := func() string {
		s := r.binary(p.name)
		valid := strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
		if valid != s {
			c.mistake("a %s that is not valid UTF-8 or contains NUL; replaced", p.name)
		}
		return valid
	}
	switch p.kind {
	case text, topicName:
		v.s = loose()
	case pair:
		v.name = loose()
		v.s = loose()
	case binaryData:
		v.s = r.binary(p.name)
	case oneBit:
		v.number = uint32(r.uint8(p.name))
	case twoBytes:
		v.number = uint32(r.uint16(p.name))
	case fourBytes:
		v.number = r.uint32(p.name)
	case variable:
		v.number = r.varint(p.name)
	}
	return v
}

// set applies a property. again means that the CONNACK has had this property before.
func (c *Connack) set(id byte, v value, again bool) {
	switch id {
	case sessionExpiry:
		c.SessionExpiry, c.HasSessionExpiry = lower(c.SessionExpiry, v.number, again), true
	case receiveMaximum:
		if v.number == 0 { // 1 is safe with any server
			c.mistake("a Receive Maximum of 0; treated as 1, so one message at a time is sent")
		}
		c.ReceiveMaximum = min(c.ReceiveMaximum, max(v.uint16(), 1))
	case maximumQoS:
		c.setMaximumQoS(v.number)
	case maximumPacketSize:
		if v.number == 0 {
			c.mistake("a Maximum Packet Size of 0; treated as no limit")
			return
		}
		c.MaximumPacketSize = lower(c.MaximumPacketSize, v.number, c.MaximumPacketSize > 0)
	case topicAliasMaximum:
		c.TopicAliasMaximum = lower(c.TopicAliasMaximum, v.uint16(), again)
	case serverKeepAlive:
		c.ServerKeepAlive, c.HasServerKeepAlive = lower(c.ServerKeepAlive, v.uint16(), again), true
	case retainAvailable:
		c.available(&c.RetainAvailable, id, v.number)
	case wildcardAvailable:
		c.available(&c.WildcardAvailable, id, v.number)
	case subscriptionAvailable:
		c.available(&c.SubscriptionIDsAvailable, id, v.number)
	case sharedAvailable:
		c.available(&c.SharedAvailable, id, v.number)
	case assignedClientID:
		c.AssignedClientID = first(c.AssignedClientID, strings.Clone(v.s)) // a copy, because a session keeps it for a long time and must not keep the packet
	case reasonString:
		c.Reason = first(c.Reason, strings.Clone(v.s))
	case serverReference:
		c.ServerReference = first(c.ServerReference, strings.Clone(v.s))
	}
}

// setMaximumQoS applies a Maximum QoS (section 3.2.2.3.4), which must be 0 or 1. A server
// that supports QoS 2 must leave it out, but some servers send 2.
func (c *Connack) setMaximumQoS(n uint32) {
	if n > 1 {
		c.mistake("a Maximum QoS of %d; treated as no limit", n)
		n = 2
	}
	c.MaximumQoS = min(c.MaximumQoS, byte(n))
}

// available applies a property that must be 0 or 1.
func (c *Connack) available(to *bool, id byte, n uint32) {
	if n > 1 {
		c.mistake("a %s of %d; treated as 1", properties[id].name, n)
	}
	*to = *to && n != 0
}

// lower returns n, or the lower of before and n if again is true.
func lower[N uint16 | uint32](before, n N, again bool) N {
	if again {
		return min(before, n)
	}
	return n
}

func first(before, s string) string {
	if before != "" {
		return before
	}
	return s
}
