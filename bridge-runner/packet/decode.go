// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"strings"
	"unicode/utf8"
)

// maxSubscriptions limits the Subscription Identifiers of one PUBLISH. A bridge makes
// fewer subscriptions.
const maxSubscriptions = 256

// DecodePublish decodes a PUBLISH (section 3.3) from the flags of its fixed header and
// its body. All strings of the message are substrings of body, and keep it in memory.
// Faults has the invalid parts of the packet. They are left out of the message, except
// for an invalid topic name: it is kept as received, with the packet identifier, so that
// the message can be logged and acknowledged. The error is a [*MalformedError]. It is
// returned only if the packet identifier cannot be found.
func DecodePublish(v Version, flags byte, body string) (Publish, error) {
	p, rest, err := publishHead(flags, body)
	if err != nil {
		return Publish{}, err
	}
	if v == V5 {
		section, payload, ok := propertySection(rest)
		if !ok {
			p.Faults |= FaultPropertyLength
			return p, nil
		}
		if rest = payload; section != "" {
			p.setProperties(section)
		}
	}
	if p.Topic == "" && p.TopicAlias == 0 { // [MQTT-4.7.3-1], MQTT 5 section 3.3.2.1
		p.Faults |= FaultNoTopic
	}
	p.Payload = rest
	if p.Properties != nil && p.Properties.PayloadUTF8 && !utf8.ValidString(p.Payload) {
		p.dropPayloadFormat()
	}
	return p, nil
}

// DecodeLargePublish decodes the beginning of a PUBLISH that the reader does not keep as
// a whole: topic name and packet identifier. Payload is the rest of the beginning. By it
// the message can be recognized when the server sends it again.
func DecodeLargePublish(flags byte, beginning string) (Publish, error) {
	p, rest, err := publishHead(flags, beginning)
	p.Payload = rest
	p.Faults |= FaultTooLarge
	return p, err
}

// CopyHead replaces the strings of the message, except for the payload, by copies. After it, only
// the payload keeps the body of the packet in memory.
func (p *Publish) CopyHead() {
	p.Topic = strings.Clone(p.Topic)
	if q := p.Properties; q != nil {
		q.ContentType, q.ResponseTopic = strings.Clone(q.ContentType), strings.Clone(q.ResponseTopic)
		q.CorrelationData, q.User = strings.Clone(q.CorrelationData), UserProperties(strings.Clone(string(q.User)))
	}
}

// publishHead decodes the fields of a PUBLISH before its properties.
func publishHead(flags byte, body string) (p Publish, rest string, err error) {
	if flags&publishQoS == publishQoS {
		return p, "", errQoS3()
	}
	p.QoS, p.Retain, p.Dup = flags&publishQoS>>1, flags&publishRetain != 0, flags&publishDup != 0
	if p.Dup && p.QoS == 0 { // [MQTT-3.3.1-2]
		p.Dup = false
		p.Faults |= FaultDup
	}
	r := reader{in: PUBLISH, s: body}
	p.Topic = r.binary("topic name")
	if p.QoS > 0 {
		p.ID = r.uint16("packet identifier")
		if p.ID == 0 { // [MQTT-2.3.1-1] of 3.1.1, [MQTT-2.2.1-3] of 5
			p.Faults |= FaultNoID
		}
	}
	if r.err != nil {
		return Publish{}, "", r.err
	}
	p.Faults |= topicFault(p.Topic)
	return p, r.s, nil
}

// setProperties decodes the properties of a PUBLISH. p.Properties stays nil if all of
// them have the same meaning as their absence.
func (p *Publish) setProperties(section string) {
	var (
		found   Properties
		kept    bool
		tooMany bool
		user    = joiner{text: section}
	)
	p.Faults |= walk(PUBLISH, section, func(id byte, v value, from, to int) {
		switch id {
		case topicAlias:
			p.TopicAlias = v.uint16()
			return
		case subscriptionID:
			if tooMany = tooMany || len(p.Subscriptions) == maxSubscriptions; !tooMany {
				p.Subscriptions = append(p.Subscriptions, v.number)
			}
			return
		case payloadFormat:
			found.PayloadUTF8 = v.number == 1
		case messageExpiry:
			found.Expires, found.Expiry = true, v.number
		case contentType:
			found.ContentType = v.s
		case responseTopic:
			found.ResponseTopic = v.s
		case correlationData:
			found.CorrelationData = v.s
		case userProperty:
			user.add(from, to)
		}
		kept = kept || v.number > 0 || v.s != "" || id == messageExpiry || id == userProperty
	})
	if tooMany {
		p.Subscriptions = nil
		p.Faults |= FaultSubscriptions
	}
	if kept {
		properties := found // a copy, so that found itself stays off the heap
		properties.User = UserProperties(user.String())
		p.Properties = &properties
	}
}

// dropPayloadFormat clears PayloadUTF8 of a message whose payload is not UTF-8. Receivers
// may refuse such a message ([MQTT-3.3.2-6], reason code 0x99).
func (p *Publish) dropPayloadFormat() {
	p.Faults |= 1 << payloadFormat
	if p.Properties.PayloadUTF8 = false; *p.Properties == (Properties{}) {
		p.Properties = nil
	}
}

// DecodeAck decodes a PUBACK, PUBREC, PUBREL or PUBCOMP (sections 3.4 to 3.7). Faults has
// the invalid parts of the packet. ID may be 0. The error is a [*MalformedError]. It is
// returned only if the packet ends within its packet identifier.
func DecodeAck(v Version, f Frame) (Ack, error) {
	a := Ack{Type: f.Type}
	if len(f.Body) < 2 {
		return Ack{}, malformed(CodeMalformedPacket, "%s that ends within its packet identifier", f.Type.indefinite())
	}
	if f.Flags != shapes[f.Type].flags {
		a.Faults |= FaultFlags
	}
	a.ID = uint16(f.Body[0])<<8 | uint16(f.Body[1])
	if a.ID == 0 {
		a.Faults |= FaultNoID
	}
	rest := f.Body[2:]
	if v != V5 || len(rest) == 0 { // the reason code and the properties may be absent: sections 3.4.2.1 and 3.4.2.2.1
		if len(rest) > 0 {
			a.Faults |= FaultTrailing
		}
		return a, nil
	}
	a.Code = rest[0]
	if len(rest) > 1 {
		var trailing string
		var faults Faults
		a.Reason, trailing, faults = reason(f.Type, string(rest[1:]))
		if a.Faults |= faults; trailing != "" {
			a.Faults |= FaultTrailing
		}
	}
	return a, nil
}

// reason decodes properties and returns the Reason String. The others are not used.
func reason(in Type, s string) (text, rest string, faults Faults) {
	section, rest, ok := propertySection(s)
	if !ok {
		return "", "", FaultPropertyLength
	}
	faults = walk(in, section, func(id byte, v value, _, _ int) {
		if id == reasonString {
			text = v.s
		}
	})
	return text, rest, faults
}

// DecodeSuback decodes a SUBACK (section 3.9). The result is a copy. It includes unknown
// codes, which the subscriber treats as refusals. The error is a [*MalformedError]. It is
// returned only if the packet identifier or the codes cannot be found.
func DecodeSuback(v Version, f Frame) (Suback, error) {
	var s Suback
	r := reader{in: f.Type, s: string(f.Body)}
	s.ID = r.uint16("packet identifier")
	if r.err != nil {
		return Suback{}, r.err
	}
	if f.Flags != shapes[f.Type].flags {
		s.Faults |= FaultFlags
	}
	if v == V5 {
		var faults Faults
		s.Reason, r.s, faults = reason(f.Type, r.s)
		if s.Faults |= faults; faults&FaultPropertyLength != 0 {
			return Suback{}, malformed(CodeMalformedPacket, "%s with a property length that exceeds the packet", f.Type.indefinite())
		}
	}
	s.Codes = []byte(r.s) // any number: the subscriber compares it with its filters
	for _, code := range s.Codes {
		if f.Type == SUBACK && code > 2 && code < 0x80 { // [MQTT-3.9.3-2]
			s.Faults |= FaultCode
		}
	}
	return s, nil
}

// DecodeDisconnect decodes a DISCONNECT (section 3.14). It leaves out invalid fields,
// because a DISCONNECT ends the connection in any case.
func DecodeDisconnect(body []byte) Disconnect {
	if len(body) == 0 { // section 3.14.2.1
		return Disconnect{}
	}
	d := Disconnect{Code: body[0]}
	section, _, ok := propertySection(string(body[1:]))
	if !ok {
		return d
	}
	walk(DISCONNECT, section, func(id byte, v value, _, _ int) {
		switch id {
		case reasonString:
			d.Reason = v.s
		case serverReference:
			d.ServerReference = v.s
		}
	})
	return d
}
