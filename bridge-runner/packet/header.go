// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import "fmt"

// MaxSize is the greatest size of a whole packet in bytes: the longest fixed header,
// and the greatest remaining length (section 2.2.3 of 3.1.1, 2.1.4 of 5).
const MaxSize = 1 + maxVarintSize + maxVarint

// Header reads a fixed header (section 2.2 of 3.1.1, 2.1 of 5): the type, the flags,
// its own size in bytes and the remaining length. size is 0 where it has not come
// whole. The error is a [*MalformedError].
func Header(buf []byte) (t Type, flags byte, size, remaining int, err error) {
	for i := 1; i < len(buf) && i <= maxVarintSize; i++ {
		remaining |= int(buf[i]&0x7f) << (7 * (i - 1))
		if buf[i]&0x80 == 0 {
			return Type(buf[0] >> 4), buf[0] & 0x0f, 1 + i, remaining, nil
		}
	}
	if len(buf) > maxVarintSize {
		err = malformed(CodeMalformedPacket, "a malformed remaining length")
	}
	return 0, 0, 0, 0, err
}

// Next returns the packet at the front of buf and how many bytes it takes, 0 where it
// has not come whole. The body is a part of buf. Next refuses at once, as soon as the
// fixed header is there, what [CheckHeader] refuses, and packets of more than limit
// bytes in all, where limit is not 0 ([MQTT-3.1.2-27] of MQTT 5). The error is a
// [*MalformedError].
func Next(buf []byte, v Version, limit uint32) (f Frame, n int, err error) {
	t, flags, size, remaining, err := Header(buf)
	if size == 0 {
		return Frame{}, 0, err
	}
	if err := CheckHeader(t, flags, remaining, v); err != nil {
		return Frame{}, 0, err
	}
	n = size + remaining
	switch {
	case v == V5 && size > 1+varintSize(remaining): // 3.1.1 does not say that it must be short
		return Frame{}, 0, malformed(CodeMalformedPacket, "a remaining length in more bytes than it needs") // [MQTT-1.5.5-1]
	case limit > 0 && int64(n) > int64(limit):
		return Frame{}, 0, malformed(CodePacketTooLarge, "%s of %d bytes, where %d are accepted at most", t.indefinite(), n, limit)
	case len(buf) < n:
		return Frame{}, 0, nil
	}
	return Frame{Type: t, Flags: flags, Body: buf[size:n:n]}, n, nil
}

// shape is what the fixed header of a packet that servers send must say.
type shape struct {
	sent     bool // servers send it
	flags    byte // table 2.2; a PUBLISH has its own
	min, max int  // of the remaining length
}

var (
	// A PUBLISH has a topic name of a character at least, a SUBACK one return code.
	shapes311 = [16]shape{
		CONNACK:  {true, 0, 2, 2},
		PUBLISH:  {true, 0, 3, maxVarint},
		PUBACK:   {true, 0, 2, 2},
		PUBREC:   {true, 0, 2, 2},
		PUBREL:   {true, 2, 2, 2}, // [MQTT-3.6.1-1]
		PUBCOMP:  {true, 0, 2, 2},
		SUBACK:   {true, 0, 3, maxVarint},
		UNSUBACK: {true, 0, 2, 2},
		PINGRESP: {true, 0, 0, 0},
	}
	// The property length takes a byte at least where it must be there. CONNACK may
	// be that of 3.1.1, which DecodeConnack explains.
	shapes5 = [16]shape{
		CONNACK:    {true, 0, 2, maxVarint},
		PUBLISH:    {true, 0, 3, maxVarint},
		PUBACK:     {true, 0, 2, maxVarint},
		PUBREC:     {true, 0, 2, maxVarint},
		PUBREL:     {true, 2, 2, maxVarint}, // [MQTT-3.6.1-1]
		PUBCOMP:    {true, 0, 2, maxVarint},
		SUBACK:     {true, 0, 4, maxVarint},
		UNSUBACK:   {true, 0, 4, maxVarint},
		PINGRESP:   {true, 0, 0, 0},
		DISCONNECT: {true, 0, 0, maxVarint}, // [MQTT-3.14.1-1]
		AUTH:       {true, 0, 0, maxVarint}, // [MQTT-3.15.1-1]
	}
)

// CheckHeader refuses the fixed header of a packet that servers do not send, with
// flags or a remaining length that it does not have. [Next] calls it; it is there for
// readers that do not wait for a large packet to come whole. The error is a
// [*MalformedError].
func CheckHeader(t Type, flags byte, remaining int, v Version) error {
	shapes := &shapes311
	if v == V5 {
		shapes = &shapes5
	}
	s := shapes[t&0x0f]
	least := s.min
	switch {
	case !s.sent:
		return malformed(CodeProtocolError, "a packet of type %d, which servers do not send", t)
	case t == PUBLISH:
		if err := checkPublishFlags(flags); err != nil {
			return err
		}
		if flags&publishQoS != 0 {
			least += 2 // the packet identifier
		}
	case flags != s.flags: // [MQTT-2.2.2-2] of 3.1.1, [MQTT-2.1.3-1] of 5
		return malformed(CodeMalformedPacket, "a malformed %s, with the flags %04b instead of %04b", t, flags, s.flags)
	}
	if remaining >= least && remaining <= s.max {
		return nil
	}
	if t == CONNACK && v != V5 {
		return malformed(CodeUnsupportedProtocolVersion, "a CONNACK of %d bytes; it may speak another version of MQTT only", remaining)
	}
	return malformed(CodeMalformedPacket, "a malformed %s of %d bytes", t, remaining)
}

// The flags of a PUBLISH (section 3.3.1).
const (
	publishRetain = 1 << 0
	publishQoS    = 3 << 1
	publishDup    = 1 << 3
)

func checkPublishFlags(flags byte) error {
	switch {
	case flags&publishQoS == publishQoS: // [MQTT-3.3.1-4]
		return malformed(CodeMalformedPacket, "a PUBLISH with QoS 3")
	case flags&(publishQoS|publishDup) == publishDup: // [MQTT-3.3.1-2]
		return malformed(CodeMalformedPacket, "a PUBLISH with QoS 0 and the DUP flag")
	}
	return nil
}

var names = [16]string{
	CONNECT: "CONNECT", CONNACK: "CONNACK", PUBLISH: "PUBLISH", PUBACK: "PUBACK", PUBREC: "PUBREC",
	PUBREL: "PUBREL", PUBCOMP: "PUBCOMP", SUBSCRIBE: "SUBSCRIBE", SUBACK: "SUBACK",
	UNSUBSCRIBE: "UNSUBSCRIBE", UNSUBACK: "UNSUBACK", PINGREQ: "PINGREQ", PINGRESP: "PINGRESP",
	DISCONNECT: "DISCONNECT", AUTH: "AUTH",
}

// String returns the name that the specification gives to the type.
func (t Type) String() string {
	if int(t) < len(names) && names[t] != "" {
		return names[t]
	}
	return fmt.Sprintf("packet of type %d", byte(t))
}

// indefinite returns the name with the article that it takes.
func (t Type) indefinite() string {
	if t == UNSUBACK || t == AUTH {
		return "an " + t.String()
	}
	return "a " + t.String()
}
