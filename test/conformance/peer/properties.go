// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bytes"
)

// Properties of MQTT 5 (section 2.2.2.2).
const (
	propPayloadFormat     = 0x01
	propMessageExpiry     = 0x02
	propContentType       = 0x03
	propResponseTopic     = 0x08
	propCorrelationData   = 0x09
	propSubscriptionID    = 0x0B
	propSessionExpiry     = 0x11
	propServerKeepAlive   = 0x13
	propAuthMethod        = 0x15
	propAuthData          = 0x16
	propProblemInfo       = 0x17
	propWillDelay         = 0x18
	propResponseInfo      = 0x19
	propReasonString      = 0x1F
	propReceiveMaximum    = 0x21
	propTopicAliasMaximum = 0x22
	propTopicAlias        = 0x23
	propMaximumQoS        = 0x24
	propRetainAvailable   = 0x25
	propUserProperty      = 0x26
	propMaximumPacketSize = 0x27
	propSubscriptionIDs   = 0x29
)

// will stands for the properties of a Will, which has no packet type.
const will = 0

// clientProperties are the properties that a client may send, by packet type.
var clientProperties = map[byte][]byte{
	CONNECT: {
		propSessionExpiry, propAuthMethod, propAuthData, propProblemInfo, propResponseInfo,
		propReceiveMaximum, propTopicAliasMaximum, propUserProperty, propMaximumPacketSize,
	},
	will: {
		propPayloadFormat, propMessageExpiry, propContentType, propResponseTopic,
		propCorrelationData, propWillDelay, propUserProperty,
	},
	PUBLISH: {
		propPayloadFormat, propMessageExpiry, propContentType, propResponseTopic,
		propCorrelationData, propTopicAlias, propUserProperty,
	},
	PUBACK:      {propReasonString, propUserProperty},
	PUBREC:      {propReasonString, propUserProperty},
	PUBREL:      {propReasonString, propUserProperty},
	PUBCOMP:     {propReasonString, propUserProperty},
	SUBSCRIBE:   {propSubscriptionID, propUserProperty},
	UNSUBSCRIBE: {propUserProperty},
	DISCONNECT:  {propSessionExpiry, propReasonString, propUserProperty},
}

// properties reads and checks the properties of a packet of a client. It returns the numeric
// properties.
func (c *cursor) properties(packetType byte) map[byte]uint32 {
	length := c.varint()
	rest := c.b
	if length > len(rest) {
		c.fail("properties that are longer than their packet")
		return nil
	}
	c.b = rest[:length]
	numbers := map[byte]uint32{}
	seen := map[byte]bool{}
	for c.err == nil && len(c.b) > 0 {
		id := c.u8()
		if seen[id] && id != propUserProperty {
			c.fail("the property 0x%02x twice in %s", id, names[packetType])
		}
		if !bytes.Contains(clientProperties[packetType], []byte{id}) {
			c.fail("the property 0x%02x in %s of a client", id, names[packetType])
		}
		seen[id] = true
		c.property(id, numbers)
	}
	if c.err == nil {
		c.b = rest[length:]
	}
	return numbers
}

func (c *cursor) property(id byte, numbers map[byte]uint32) {
	switch id {
	case propPayloadFormat, propProblemInfo, propResponseInfo:
		v := c.u8()
		numbers[id] = uint32(v)
		if v > 1 {
			c.fail("the property 0x%02x with the value %d", id, v)
		}
	case propReceiveMaximum, propTopicAlias:
		v := c.u16()
		numbers[id] = uint32(v)
		if c.err == nil && v == 0 {
			c.fail("the property 0x%02x with the value 0", id)
		}
	case propTopicAliasMaximum:
		numbers[id] = uint32(c.u16())
	case propMessageExpiry, propSessionExpiry, propWillDelay:
		numbers[id] = c.u32()
	case propMaximumPacketSize:
		numbers[id] = c.u32()
		if c.err == nil && numbers[id] == 0 {
			c.fail("a Maximum Packet Size of 0")
		}
	case propSubscriptionID:
		v := c.varint()
		numbers[id] = uint32(v)
		if c.err == nil && v == 0 {
			c.fail("the Subscription Identifier 0")
		}
	case propContentType, propReasonString, propAuthMethod:
		c.text()
	case propResponseTopic:
		c.topic()
	case propCorrelationData, propAuthData:
		c.binary()
	case propUserProperty:
		c.text()
		c.text()
	default:
		c.fail("the unknown property 0x%02x", id)
	}
}

// varint reads a variable byte integer.
func (c *cursor) varint() int {
	r := bytes.NewReader(c.b)
	v, digits, err := readLength(r)
	if err != nil {
		c.fail("an invalid variable byte integer: %v", err)
		return 0
	}
	c.take(digits)
	return v
}
