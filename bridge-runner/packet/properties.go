// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

// The identifiers of properties (MQTT 5 table 2-4). They are variable byte integers,
// all of one byte.
const (
	payloadFormat         byte = 0x01
	messageExpiry         byte = 0x02
	contentType           byte = 0x03
	responseTopic         byte = 0x08
	correlationData       byte = 0x09
	subscriptionID        byte = 0x0b
	sessionExpiry         byte = 0x11
	assignedClientID      byte = 0x12
	serverKeepAlive       byte = 0x13
	authMethod            byte = 0x15
	authData              byte = 0x16
	requestProblem        byte = 0x17
	willDelay             byte = 0x18
	requestResponse       byte = 0x19
	responseInformation   byte = 0x1a
	serverReference       byte = 0x1c
	reasonString          byte = 0x1f
	receiveMaximum        byte = 0x21
	topicAliasMaximum     byte = 0x22
	topicAlias            byte = 0x23
	maximumQoS            byte = 0x24
	retainAvailable       byte = 0x25
	userProperty          byte = 0x26
	maximumPacketSize     byte = 0x27
	wildcardAvailable     byte = 0x28
	subscriptionAvailable byte = 0x29
	sharedAvailable       byte = 0x2a
)

// kind is the type of a property's value.
type kind byte

const (
	oneBit     kind = iota + 1 // a byte that must be 0 or 1
	twoBytes                   // a two byte integer
	fourBytes                  // a four byte integer
	variable                   // a variable byte integer
	text                       // a UTF-8 encoded string
	topicName                  // a UTF-8 encoded string without wildcards
	binaryData                 // binary data
	pair                       // a UTF-8 string pair
)

// property describes a property as the specification defines it.
type property struct {
	name     string
	kind     kind
	in       types // the packets from a server that may have it
	positive bool  // 0 is a Protocol Error
	repeats  bool  // a packet may have it more than once
}

// types is a set of packet types.
type types uint16

func set(all ...Type) (s types) {
	for _, t := range all {
		s |= 1 << t
	}
	return s
}

// properties has the properties of MQTT 5 (section 2.2.2.2) by their identifiers.
var properties = func() (all [sharedAvailable + 1]property) {
	var (
		publish    = set(PUBLISH)
		connack    = set(CONNACK)
		disconnect = set(DISCONNECT) // [MQTT-3.14.2-2]: a server sends no Session Expiry Interval in it
		reasons    = set(CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT)
	)
	// Servers must not send these three, but their length is known.
	all[requestProblem] = property{name: "Request Problem Information", kind: oneBit}
	all[willDelay] = property{name: "Will Delay Interval", kind: fourBytes}
	all[requestResponse] = property{name: "Request Response Information", kind: oneBit}
	all[payloadFormat] = property{name: "Payload Format Indicator", kind: oneBit, in: publish}
	all[messageExpiry] = property{name: "Message Expiry Interval", kind: fourBytes, in: publish}
	all[contentType] = property{name: "Content Type", kind: text, in: publish}
	all[responseTopic] = property{name: "Response Topic", kind: topicName, in: publish}
	all[correlationData] = property{name: "Correlation Data", kind: binaryData, in: publish}
	all[subscriptionID] = property{name: "Subscription Identifier", kind: variable, in: publish, positive: true, repeats: true}
	all[topicAlias] = property{name: "Topic Alias", kind: twoBytes, in: publish, positive: true}
	all[sessionExpiry] = property{name: "Session Expiry Interval", kind: fourBytes, in: connack}
	all[assignedClientID] = property{name: "Assigned Client Identifier", kind: text, in: connack}
	all[serverKeepAlive] = property{name: "Server Keep Alive", kind: twoBytes, in: connack}
	all[authMethod] = property{name: "Authentication Method", kind: text, in: connack}
	all[authData] = property{name: "Authentication Data", kind: binaryData, in: connack}
	all[responseInformation] = property{name: "Response Information", kind: text, in: connack}
	all[receiveMaximum] = property{name: "Receive Maximum", kind: twoBytes, in: connack, positive: true}
	all[topicAliasMaximum] = property{name: "Topic Alias Maximum", kind: twoBytes, in: connack}
	all[maximumQoS] = property{name: "Maximum QoS", kind: oneBit, in: connack}
	all[retainAvailable] = property{name: "Retain Available", kind: oneBit, in: connack}
	all[maximumPacketSize] = property{name: "Maximum Packet Size", kind: fourBytes, in: connack, positive: true}
	all[wildcardAvailable] = property{name: "Wildcard Subscription Available", kind: oneBit, in: connack}
	all[subscriptionAvailable] = property{name: "Subscription Identifier Available", kind: oneBit, in: connack}
	all[sharedAvailable] = property{name: "Shared Subscription Available", kind: oneBit, in: connack}
	all[serverReference] = property{name: "Server Reference", kind: text, in: connack | disconnect}
	all[reasonString] = property{name: "Reason String", kind: text, in: reasons}
	all[userProperty] = property{name: "User Property", kind: pair, in: reasons | publish, repeats: true}
	return all
}()

// value is the value of a property: a number, a text, or a name and a text.
type value struct {
	number  uint32
	name, s string
}

// uint16 returns the value of a two byte integer.
func (v value) uint16() uint16 { return uint16(v.number & 0xffff) }
