// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package packet encodes the control packets that an MQTT client sends and decodes
// those that a server sends, for MQTT 3.1.1 and MQTT 5.
//
// It promises:
//   - What a server may not send is refused with a [*MalformedError] that says what
//     is wrong, as the specifications demand; nothing panics.
//   - Nothing is allocated for what a length announces, only for what has come.
//   - A decoded message is immutable strings that share one allocation, so it can be
//     held, and handed to many, without copying.
//   - Encoding appends to the caller's buffer and allocates nothing else.
//
// It knows nothing of connections and keeps no state.
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

// Frame is a control packet that has come whole, not decoded yet.
type Frame struct {
	Type  Type
	Flags byte   // the low four bits of the fixed header
	Body  []byte // the variable header and the payload
}

// IsQoS0 reports whether it is a PUBLISH of QoS 0 (section 3.3.1.2).
func (f Frame) IsQoS0() bool { return f.Type == PUBLISH && f.Flags&0b0110 == 0 }

// UserProperty is a name and a value (MQTT 5 section 3.3.2.3.7).
type UserProperty struct{ Name, Value string }

// Properties are the MQTT 5 properties of an application message (section 3.3.2.3)
// that belong to the message, not to its transport.
type Properties struct {
	// PayloadUTF8 is the Payload Format Indicator: the payload is UTF-8 text.
	PayloadUTF8 bool
	// Expires says whether Expiry, the Message Expiry Interval in seconds, is there.
	Expires bool
	Expiry  uint32
	// ContentType, ResponseTopic and CorrelationData are absent where empty.
	ContentType     string
	ResponseTopic   string
	CorrelationData string
	// User are in the order in which they came ([MQTT-3.3.2-18]).
	User []UserProperty
}

// Publish is a PUBLISH packet (section 3.3).
type Publish struct {
	Topic   string
	Payload string
	ID      uint16 // packet identifier; 0 at QoS 0
	QoS     byte
	Retain  bool
	Dup     bool
	// TopicAlias is 0 where there is none (MQTT 5 section 3.3.2.3.4). With one, Topic
	// may be empty.
	TopicAlias uint16
	// Subscriptions are the Subscription Identifiers (section 3.3.2.3.8).
	Subscriptions []uint32
	// Properties is nil where the message has none, and with 3.1.1.
	Properties *Properties
}

// Ack is a PUBACK, PUBREC, PUBREL or PUBCOMP packet.
type Ack struct {
	Type   Type
	ID     uint16
	Code   byte   // reason code; 0 with 3.1.1
	Reason string // Reason String (MQTT 5 section 3.4.2.2.2)
}

// Will is the Will Message (section 3.1.2.5).
type Will struct {
	Topic   string
	Payload string
	QoS     byte
	Retain  bool
	Delay   uint32 // Will Delay Interval in seconds (MQTT 5 section 3.1.3.2.2)
}

// Connect is a CONNECT packet (section 3.1).
type Connect struct {
	Version Version
	// Bridge sets the highest bit of the protocol level of 3.1.1. It is no part of the
	// specification: Mosquitto and others take it for a bridge, and send it no message
	// of its own and retain flags as published.
	Bridge     bool
	ClientID   string
	CleanStart bool // Clean Session in 3.1.1
	KeepAlive  uint16
	// Username and Password are each sent if they are not empty, but in 3.1.1 no password
	// without a user name.
	Username, Password string
	Will               *Will
	// The rest is MQTT 5 (section 3.1.2.11), absent where 0.
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
	// The rest is MQTT 5 (section 3.2.2.3). With 3.1.1 it has its defaults.
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

	// Mistakes are what the server sent in it against the specification, in words that
	// follow "the server's CONNACK has", and how each was treated.
	Mistakes []string
}

// Subscription is a topic filter with its options (MQTT 5 section 3.8.3.1; 3.1.1
// has the QoS alone).
type Subscription struct {
	Filter            string
	QoS               byte
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte
}

// Subscribe is a SUBSCRIBE packet (section 3.8).
type Subscribe struct {
	ID             uint16
	SubscriptionID uint32 // Subscription Identifier, 0: none
	Subscriptions  []Subscription
}

// Suback is a SUBACK or UNSUBACK packet (sections 3.9 and 3.11).
type Suback struct {
	ID     uint16
	Codes  []byte // none in an UNSUBACK of 3.1.1
	Reason string
}

// Disconnect is a DISCONNECT packet (section 3.14).
type Disconnect struct {
	Code             byte
	SessionExpiry    uint32
	HasSessionExpiry bool
	Reason           string
	ServerReference  string
}

// MalformedError says what a server sent that the protocol does not have.
type MalformedError struct {
	// Code is the reason code with which MQTT 5 answers it (section 4.13): 0x81
	// Malformed Packet, 0x82 Protocol Error, 0x95 Packet too large and others.
	Code byte
	// Text says what is wrong, in words that follow "the server sent".
	Text string
}

func (e *MalformedError) Error() string { return "the server sent " + e.Text }
