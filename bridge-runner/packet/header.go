// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import "fmt"

// MaxSize is the greatest size of a whole packet in bytes: the longest fixed header plus
// the greatest remaining length (section 2.2.3 of 3.1.1, 2.1.4 of 5).
const MaxSize = 1 + maxVarintSize + maxVarint

// Header reads a fixed header (section 2.2 of 3.1.1, 2.1 of 5). It returns the type, the
// flags, the size of the header in bytes, and the remaining length. size is 0 if buf does
// not contain the whole header yet. The error is a [*MalformedError].
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

// Next returns the packet at the front of buf and its size n in bytes. n is 0 if buf does
// not contain the whole packet yet. The body is a part of buf. As soon as the fixed header
// is complete, Next rejects packets that [CheckHeader] rejects and, if limit is not 0,
// packets of more than limit bytes. The error is a [*MalformedError].
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
	case v == V5 && size > 1+varintSize(remaining): // 3.1.1 does not require the shortest encoding
		return Frame{}, 0, malformed(CodeMalformedPacket, "a remaining length that uses more bytes than necessary") // [MQTT-1.5.5-1]
	case limit > 0 && int64(n) > int64(limit):
		return Frame{}, 0, malformed(CodePacketTooLarge, "%s of %d bytes, but at most %d are accepted", t.indefinite(), n, limit)
	case len(buf) < n:
		return Frame{}, 0, nil
	}
	return Frame{Type: t, Flags: flags, Body: buf[size:n:n], Size: n}, n, nil
}

// shape describes the valid fixed headers of a packet type.
type shape struct {
	known bool // the packet type exists
	flags byte // as in table 2.2; not used for PUBLISH, whose flags vary
	min   int  // the least remaining length with which the fields can be found
}

var shapes = [16]shape{
	CONNECT:     {true, 0, 0},
	CONNACK:     {true, 0, 2},
	PUBLISH:     {true, 0, 2},
	PUBACK:      {true, 0, 2},
	PUBREC:      {true, 0, 2},
	PUBREL:      {true, 2, 2}, // [MQTT-3.6.1-1]
	PUBCOMP:     {true, 0, 2},
	SUBSCRIBE:   {true, 2, 0},
	SUBACK:      {true, 0, 2},
	UNSUBSCRIBE: {true, 2, 0},
	UNSUBACK:    {true, 0, 0},
	PINGREQ:     {true, 0, 0},
	PINGRESP:    {true, 0, 0},
	DISCONNECT:  {true, 0, 0},
	AUTH:        {true, 0, 0}, // only MQTT 5
}

// CheckHeader rejects the fixed header of a packet whose type does not exist, or whose
// fields cannot be found. [Next] calls it. It is exported for readers that do not wait for
// the whole of a large packet. The error is a [*MalformedError].
func CheckHeader(t Type, flags byte, remaining int, v Version) error {
	s := shapes[t&0x0f]
	least := s.min
	switch {
	case !s.known, t == AUTH && v != V5:
		return malformed(CodeProtocolError, "a packet of type %d, which does not exist", t)
	case t == PUBLISH && flags&publishQoS == publishQoS:
		return errQoS3()
	case t == PUBLISH && flags&publishQoS != 0:
		least += 2 // the packet identifier
	case t == CONNACK && v != V5 && remaining != 2:
		return malformed(CodeUnsupportedProtocolVersion, "a CONNACK of %s; the server may support only another version of MQTT", inBytes(remaining))
	}
	if remaining < least {
		return malformed(CodeMalformedPacket, "a malformed %s of %s", t, inBytes(remaining))
	}
	return nil
}

// errQoS3 returns the error for a PUBLISH with QoS 3 ([MQTT-3.3.1-4]). It is unknown
// whether such a packet has a packet identifier.
func errQoS3() error { return malformed(CodeMalformedPacket, "a PUBLISH with QoS 3") }

// The flags of a PUBLISH (section 3.3.1).
const (
	publishRetain = 1 << 0
	publishQoS    = 3 << 1
	publishDup    = 1 << 3
)

var names = [16]string{
	CONNECT: "CONNECT", CONNACK: "CONNACK", PUBLISH: "PUBLISH", PUBACK: "PUBACK", PUBREC: "PUBREC",
	PUBREL: "PUBREL", PUBCOMP: "PUBCOMP", SUBSCRIBE: "SUBSCRIBE", SUBACK: "SUBACK",
	UNSUBSCRIBE: "UNSUBSCRIBE", UNSUBACK: "UNSUBACK", PINGREQ: "PINGREQ", PINGRESP: "PINGRESP",
	DISCONNECT: "DISCONNECT", AUTH: "AUTH",
}

// String returns the name of the type in the specification.
func (t Type) String() string {
	if int(t) < len(names) && names[t] != "" {
		return names[t]
	}
	return fmt.Sprintf("packet of type %d", byte(t))
}

// indefinite returns the name with its indefinite article.
func (t Type) indefinite() string {
	if t == UNSUBACK || t == AUTH {
		return "an " + t.String()
	}
	return "a " + t.String()
}
