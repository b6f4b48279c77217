// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import "time"

// Limits are the limits that a server announces in CONNACK, and the QoS that it grants. It does not
// announce zero values. MQTT 3.1.1 has only Window and GrantedQoS.
type Limits struct {
	ReceiveMaximum    uint16
	TopicAliasMaximum uint16
	ServerKeepAlive   uint16 // in seconds
	MaximumPacketSize uint32
	LowQoS            bool // announce MaximumQoS
	MaximumQoS        byte
	NoRetain          bool
	NoSubscriptionIDs bool
	HasSessionExpiry  bool
	SessionExpiry     uint32 // in seconds

	// Window is the largest number of unacknowledged QoS 1 and 2 messages to the client. 0 means
	// the client's receive maximum.
	Window int
	// LowGrant lowers the QoS that a SUBACK grants to GrantedQoS.
	LowGrant   bool
	GrantedQoS byte
}

// Plan defines the behaviour on one connection. The zero value follows the protocol without faults.
type Plan struct {
	Limits
	// Refuse is the code of a CONNACK that refuses the connection. 0 accepts it.
	Refuse byte
	// DropSession drops the client's session before CONNECT is processed.
	DropSession bool
	// Cut returns the cut at a packet, or nil. If Cut is nil, the connection is never cut.
	Cut func(p *Packet, fromClient bool) *Cut
	// RefuseMessage returns the reason code with which a PUBLISH of MQTT 5 is refused, or 0.
	RefuseMessage func(p *Packet) byte
	// Delay returns the delay of the current answer. It also delays the answers after it.
	Delay func() time.Duration
	// Silence returns the time for which the server neither reads nor writes from now on.
	Silence func() time.Duration
}

// When is the instant, relative to a packet, at which a connection is cut.
type When int

// Instants of cuts. InPacket applies to packets of the server, the others to packets of the client.
const (
	BeforeReading When = iota // the server does not read the packet
	BeforeAnswer              // the packet is processed, and its answers are lost
	AfterAnswer               // the answers are sent
	InPacket                  // a part of the packet is sent
)

var whens = [...]string{"before the server reads it", "after processing, before the answer", "after the answer", "within the packet"}

// Cut defines the end of a connection.
type Cut struct {
	When  When
	Reset bool // end with RST, which also discards unread data, instead of FIN
	Bytes int  // number of bytes that are sent; for InPacket only
	// Disconnect is the reason code of a DISCONNECT of MQTT 5 that is sent first. 0 sends none. It
	// does not apply to InPacket.
	Disconnect byte
}

func (c *Cut) String() string {
	end := "FIN"
	if c.Reset {
		end = "RST"
	}
	return "cut " + whens[c.When] + " by " + end
}
