// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package packet encodes the control packets that an MQTT client sends and decodes
// those that a server sends, for MQTT 3.1.1 and MQTT 5.
//
// It promises:
//   - A packet whose fields cannot be found is rejected with a [*MalformedError], which
//     describes the error. No packet causes a panic. Other protocol violations are in the
//     [Faults] of the packet, and the invalid parts are left out.
//   - Memory is allocated only for received bytes, not for an announced length.
//   - A decoded message consists of immutable strings that share one allocation. It can be
//     kept and passed on without copying.
//   - Encoding appends to the caller's buffer and allocates nothing else.
//
// The package keeps no state, and does not know connections.
package packet

// Version is a protocol level (section 3.1.2.2).
type Version byte

// The versions.
const (
	V311 Version = 4
	V5   Version = 5
)

// Type is a control packet type (section 2.2.1 of 3.1.1, 2.1.2 of 5).
type Type byte

// The control packet types.
const (
	CONNECT     Type = 1
	CONNACK     Type = 2
	PUBLISH     Type = 3
	PUBACK      Type = 4
	PUBREC      Type = 5
	PUBREL      Type = 6
	PUBCOMP     Type = 7
	SUBSCRIBE   Type = 8
	SUBACK      Type = 9
	UNSUBSCRIBE Type = 10
	UNSUBACK    Type = 11
	PINGREQ     Type = 12
	PINGRESP    Type = 13
	DISCONNECT  Type = 14
	AUTH        Type = 15
)

// Frame is a control packet that was received as a whole and is not decoded yet.
type Frame struct {
	Type Type
	// Flags are the low four bits of the first byte of the packet.
	Flags byte
	// Body is the variable header and the payload.
	Body []byte
	// Size is the size of the whole packet in bytes.
	Size int
	// Large means that the packet is larger than the reader accepts. Body is only its
	// beginning.
	Large bool
}

// IsQoS0 reports whether the packet is a PUBLISH with QoS 0 (section 3.3.1.2).
func (f Frame) IsQoS0() bool { return f.Type == PUBLISH && f.Flags&0b0110 == 0 }

// Properties are the MQTT 5 properties of a PUBLISH (section 3.3.2.3) that belong to the
// message, not to its transport.
type Properties struct {
	// PayloadUTF8 is the Payload Format Indicator. It means that the payload is UTF-8 text.
	PayloadUTF8 bool
	// Expires means that Expiry is present.
	Expires bool
	// Expiry is the Message Expiry Interval in seconds. It is valid if Expires is true.
	Expiry uint32
	// ContentType, ResponseTopic and CorrelationData are absent if they are empty.
	ContentType     string
	ResponseTopic   string
	CorrelationData string
	User            UserProperties
}

// Publish is a PUBLISH packet (section 3.3).
type Publish struct {
	Topic   string
	Payload string
	// ID is the packet identifier. It is 0 at QoS 0.
	ID     uint16
	QoS    byte
	Retain bool
	Dup    bool
	// TopicAlias is the topic alias (MQTT 5 section 3.3.2.3.4), or 0 if there is none.
	// With a topic alias, Topic may be empty.
	TopicAlias uint16
	// Subscriptions are the Subscription Identifiers (section 3.3.2.3.8).
	Subscriptions []uint32
	// Properties is nil if the message has none, and with 3.1.1.
	Properties *Properties
	// Faults are the faults of a received packet. Encoding ignores them.
	Faults Faults
}

// Ack is a PUBACK, PUBREC, PUBREL or PUBCOMP packet.
type Ack struct {
	Type Type
	ID   uint16
	// Code is the reason code. It is 0 with 3.1.1.
	Code byte
	// Reason is the Reason String (MQTT 5 section 3.4.2.2.2).
	Reason string
	// Faults are the faults of a received packet. Encoding ignores them.
	Faults Faults
}

// Will is the Will Message (section 3.1.2.5).
type Will struct {
	Topic   string
	Payload string
	QoS     byte
	Retain  bool
	// Delay is the Will Delay Interval in seconds (MQTT 5 section 3.1.3.2.2).
	Delay uint32
}

// Connect is a CONNECT packet (section 3.1).
type Connect struct {
	Version Version
	// BridgeFlag sets the bridge flag, the highest bit of the protocol level of 3.1.1. It is
	// not part of the specification. Mosquitto and other servers treat such a client as a
	// bridge: they send it none of its own messages, and keep retain flags as published.
	BridgeFlag bool
	ClientID   string
	// CleanStart is named Clean Session in 3.1.1.
	CleanStart bool
	// KeepAlive is in seconds. 0 turns the keep alive mechanism off.
	KeepAlive uint16
	// Username and Password are each sent if they are not empty. In 3.1.1, Password is
	// sent only with Username.
	Username, Password string
	Will               *Will
	// The fields below exist only in MQTT 5 (section 3.1.2.11). They are absent if 0.

	SessionExpiry     uint32
	ReceiveMaximum    uint16
	MaximumPacketSize uint32
	TopicAliasMaximum uint16
}

// Connack is a CONNACK packet (section 3.2). Decoding fills in the defaults that the
// specification gives to absent properties.
type Connack struct {
	SessionPresent bool
	Code           byte
	// The fields below exist only in MQTT 5 (section 3.2.2.3). With 3.1.1 they have their
	// defaults.

	SessionExpiry            uint32
	HasSessionExpiry         bool
	ReceiveMaximum           uint16 // default 65535
	MaximumQoS               byte   // default 2
	RetainAvailable          bool   // default true
	MaximumPacketSize        uint32 // 0: no limit
	AssignedClientID         string
	TopicAliasMaximum        uint16
	Reason                   string
	WildcardAvailable        bool // default true
	SubscriptionIDsAvailable bool // default true
	SharedAvailable          bool // default true
	ServerKeepAlive          uint16
	HasServerKeepAlive       bool
	ServerReference          string

	// Violations describe violations of the specification in the packet, and how each was
	// treated. Each text continues the words "the server's CONNACK has". There are at
	// most 8.
	Violations []string
}

// Subscription is a topic filter with its options (MQTT 5 section 3.8.3.1). 3.1.1 has
// only the QoS.
type Subscription struct {
	Filter            string
	QoS               byte
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte
}

// Subscribe is a SUBSCRIBE packet (section 3.8).
type Subscribe struct {
	ID uint16
	// SubscriptionID is the Subscription Identifier, or 0 for none.
	SubscriptionID uint32
	Subscriptions  []Subscription
}

// Suback is a SUBACK packet (section 3.9).
type Suback struct {
	ID     uint16
	Codes  []byte
	Reason string
	Faults Faults
}

// Disconnect is a DISCONNECT packet (section 3.14).
type Disconnect struct {
	Code             byte
	SessionExpiry    uint32
	HasSessionExpiry bool
	Reason           string
	ServerReference  string
}

// MalformedError describes a packet that the protocol does not allow.
type MalformedError struct {
	// Code is the MQTT 5 reason code of the error (section 4.13): 0x81 Malformed Packet,
	// 0x82 Protocol Error, 0x95 Packet too large, and others.
	Code byte
	// Text describes the packet. It continues the words "the server sent".
	Text string
}

func (e *MalformedError) Error() string { return "the server sent " + e.Text }
