// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"fmt"
	"math"
	"strings"
)

// DecodeConnack decodes a CONNACK (section 3.2) and fills in the defaults of absent
// properties. Authentication, Response Information and User Properties are checked and
// left out.
//
// It accepts mistakes of servers if the packet's framing is intact and the meaning is
// clear, and notes them in [Connack.Mistakes]: a client that insists on the letter here
// never connects. A limit that is stated twice counts as the lower one. The error is a
// [*MalformedError]; its code is [CodeUnsupportedProtocolVersion] if the server might
// speak another version only.
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
		c.mistake("a session in a refusal; ignored")
	}
	if v == V5 && len(body) > 2 {
		r.connackProperties(&c)
	}
	if v == V5 && r.s != "" {
		c.mistake("%d bytes behind its end; ignored", len(r.s))
		r.s = ""
	}
	if err := r.end(); err != nil {
		return Connack{}, err
	}
	return c, nil
}

// checkVersion refuses an answer of a server that speaks another version only: a
// CONNACK of 3.1.1 has no properties and codes up to 5, a refusal of 5 has a code from
// 0x80. Both are refusals in either version, if they say so in that version's format.
func checkVersion(v Version, code byte, length int) error {
	if v == V5 && length == 2 && code < failure {
		return malformed(CodeUnsupportedProtocolVersion, "a CONNACK of 2 bytes with the code %d, as MQTT 3.1.1 has it; it may speak that version only", code)
	}
	return nil
}

// failure is the lowest reason code of MQTT 5 that says failure (section 2.4).
const failure = 0x80

// maxMistakes bounds what is noted: a server decides how many there are.
const maxMistakes = 8

func (c *Connack) mistake(format string, args ...any) {
	if len(c.Mistakes) < maxMistakes {
		c.Mistakes = append(c.Mistakes, fmt.Sprintf(format, args...))
	}
}

// connackProperties takes the properties of a CONNACK (MQTT 5 section 3.2.2.3). Only
// those whose end is unknown are an error.
func (r *reader) connackProperties(c *Connack) {
	length := int(r.varint("property length"))
	if length > len(r.s) {
		r.fail(malformed(CodeMalformedPacket, "a CONNACK whose property length of %d goes beyond its end", length))
		return
	}
	rest := r.s[length:]
	r.s = r.s[:length]
	var seen uint64
	for r.s != "" {
		id := r.uint8("properties")
		p := known(id)
		if p.kind == 0 {
			r.fail(malformed(CodeMalformedPacket, "a CONNACK with the property 0x%02x, which MQTT 5 does not have", id))
			return
		}
		v := r.looseValue(&p, c)
		switch {
		case r.err != nil:
			return
		case p.in>>CONNACK&1 == 0:
			c.mistake("the property 0x%02x, which it does not have; ignored", id)
			continue
		case seen>>id&1 != 0 && !p.repeats:
			c.mistake("more than one %s; the lower or first one counts", p.name)
		}
		c.set(id, v, seen>>id&1 != 0)
		seen |= 1 << id
	}
	r.s = rest
}

// known returns the property with an identifier. Its kind is 0 if MQTT 5 does not have
// it.
func known(id byte) property {
	switch {
	case id == 0x17, id == 0x19: // Request Problem and Response Information: of a CONNECT
		return property{kind: oneBit}
	case id == willDelay:
		return property{kind: fourBytes}
	case int(id) < len(properties):
		return properties[id]
	}
	return property{}
}

// looseValue is value for texts that need not be valid.
func (r *reader) looseValue(p *property, c *Connack) (v value) {
	loose := func() string {
		s := r.binary(p.name)
		valid := strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
		if valid != s {
			c.mistake("a %s that is not valid UTF-8 or holds NUL; replaced", p.name)
		}
		return valid
	}
	switch p.kind {
	case text, topicName:
		v.s = loose()
	case pair:
		v.name = loose()
		v.s = loose()
	default:
		v = r.value(p)
	}
	return v
}

// set applies a property. again says that it is not the first of its kind.
func (c *Connack) set(id byte, v value, again bool) {
	switch id {
	case sessionExpiry:
		c.SessionExpiry, c.HasSessionExpiry = lower(c.SessionExpiry, v.number, again), true
	case receiveMaximum:
		if v.number == 0 { // safe with any server
			c.mistake("a Receive Maximum of 0, which is treated as 1: one message at a time is sent")
		}
		c.ReceiveMaximum = min(c.ReceiveMaximum, max(v.uint16(), 1))
	case maximumQoS:
		c.setMaximumQoS(v.number)
	case maximumPacketSize:
		if v.number == 0 {
			c.mistake("a Maximum Packet Size of 0, which is treated as no limit")
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
		c.AssignedClientID = first(c.AssignedClientID, strings.Clone(v.s)) // a session has it for long, and needs no more of the packet
	case reasonString:
		c.Reason = first(c.Reason, strings.Clone(v.s))
	case serverReference:
		c.ServerReference = first(c.ServerReference, strings.Clone(v.s))
	}
}

// setMaximumQoS applies a Maximum QoS (section 3.2.2.3.4), which must be 0 or 1. A
// server that has QoS 2 has to leave it out; some say 2.
func (c *Connack) setMaximumQoS(n uint32) {
	if n > 1 {
		c.mistake("a Maximum QoS of %d, which is treated as none", n)
		n = 2
	}
	c.MaximumQoS = min(c.MaximumQoS, byte(n))
}

// available applies a property that must be 0 or 1.
func (c *Connack) available(to *bool, id byte, n uint32) {
	if n > 1 {
		c.mistake("a %s of %d, which is treated as 1", properties[id].name, n)
	}
	*to = *to && n != 0
}

// lower returns the lower of two values if there is one before.
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
