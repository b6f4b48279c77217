// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

// DecodePublish decodes a PUBLISH (section 3.3) from the flags of its fixed header and
// its body. All strings of the message are parts of body, which it keeps alive. The
// error is a [*MalformedError].
func DecodePublish(v Version, flags byte, body string) (Publish, error) {
	if err := checkPublishFlags(flags); err != nil {
		return Publish{}, err
	}
	p := Publish{
		QoS:    flags & publishQoS >> 1,
		Retain: flags&publishRetain != 0,
		Dup:    flags&publishDup != 0,
	}
	r := reader{in: PUBLISH, s: body}
	p.Topic = r.topic("topic name")
	if p.QoS > 0 {
		p.ID = r.id()
	}
	if v == V5 {
		r.publishProperties(&p)
	}
	if p.Topic == "" && p.TopicAlias == 0 && r.err == nil { // [MQTT-4.7.3-1], MQTT 5 section 3.3.2.1
		r.fail(malformed(CodeProtocolError, "a PUBLISH without a topic name"))
	}
	if r.err != nil {
		return Publish{}, r.err
	}
	p.Payload = r.s
	return p, nil
}

// publishProperties takes the properties of a PUBLISH. Those that say what their
// absence says do not count.
func (r *reader) publishProperties(p *Publish) {
	var (
		found Properties
		kept  bool
	)
	r.properties(func(id byte, v value) {
		switch id {
		case topicAlias:
			p.TopicAlias = v.uint16()
			return
		case subscriptionID:
			p.Subscriptions = append(p.Subscriptions, v.number)
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
			found.User = append(found.User, UserProperty{v.name, v.s})
		}
		kept = kept || v.number > 0 || v.s != "" || id == messageExpiry || id == userProperty
	})
	if kept && r.err == nil {
		properties := found // found itself stays off the heap
		p.Properties = &properties
	}
}

// DecodeAck decodes a PUBACK, PUBREC, PUBREL or PUBCOMP (sections 3.4 to 3.7). The
// error is a [*MalformedError].
func DecodeAck(v Version, f Frame) (Ack, error) {
	a := Ack{Type: f.Type}
	r := reader{in: f.Type}
	if len(f.Body) < 2 {
		r.short("packet identifier")
		return Ack{}, r.err
	}
	a.ID = uint16(f.Body[0])<<8 | uint16(f.Body[1])
	if a.ID == 0 {
		r.noID()
		return Ack{}, r.err
	}
	rest := f.Body[2:]
	if v == V5 && len(rest) > 0 { // sections 3.4.2.1 and 3.4.2.2.1: both may be absent
		a.Code, rest = rest[0], rest[1:]
		if err := checkReason(f.Type, a.Code); err != nil {
			return Ack{}, err
		}
		if r.s = string(rest); r.s != "" {
			a.Reason = r.reason()
		}
	} else {
		r.s = string(rest)
	}
	if err := r.end(); err != nil {
		return Ack{}, err
	}
	return a, nil
}

// reason takes properties of which only the Reason String is of use.
func (r *reader) reason() (s string) {
	r.properties(func(id byte, v value) {
		if id == reasonString {
			s = v.s
		}
	})
	return s
}

// DecodeSuback decodes a SUBACK or an UNSUBACK (sections 3.9 and 3.11). The result is
// a copy. The error is a [*MalformedError].
func DecodeSuback(v Version, f Frame) (Suback, error) {
	var s Suback
	r := reader{in: f.Type, s: string(f.Body)}
	s.ID = r.id()
	if v == V5 {
		s.Reason = r.reason()
	}
	switch {
	case v != V5 && f.Type == UNSUBACK: // it has no codes
		if err := r.end(); err != nil {
			return Suback{}, err
		}
		return s, nil
	case r.s == "":
		r.short("reason codes")
		return Suback{}, r.err
	}
	s.Codes = []byte(r.s) // any: who subscribes knows what they refuse
	return s, nil
}

// DecodeDisconnect decodes a DISCONNECT of MQTT 5 (section 3.14). The error is a
// [*MalformedError].
func DecodeDisconnect(body []byte) (Disconnect, error) {
	var d Disconnect
	r := reader{in: DISCONNECT, s: string(body)}
	if len(body) > 0 { // section 3.14.2.1
		d.Code = r.uint8("reason code")
		if err := checkReason(DISCONNECT, d.Code); err != nil {
			return Disconnect{}, err
		}
	}
	if len(body) > 1 { // section 3.14.2.2.1
		r.properties(func(id byte, v value) {
			switch id {
			case reasonString:
				d.Reason = v.s
			case serverReference:
				d.ServerReference = v.s
			}
		})
	}
	if err := r.end(); err != nil {
		return Disconnect{}, err
	}
	return d, nil
}
