// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import "time"

// Limits are what a server announces in CONNACK, and grants. Zero values announce
// nothing. MQTT 3.1.1 has only Window and GrantedQoS.
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

	// Window is how many QoS 1 and 2 messages the server sends unacknowledged. 0 is as
	// many as the client allows.
	Window int
	// LowGrant lowers the QoS that a SUBACK grants to GrantedQoS.
	LowGrant   bool
	GrantedQoS byte
}

// Plan is what happens on one connection. The zero value follows the protocol and does
// nothing besides.
type Plan struct {
	Limits
	// Refuse is the code of a CONNACK that refuses the connection, 0 for none.
	Refuse byte
	// Forget drops the client's session before CONNECT is processed.
	Forget bool
	// Cut ends the connection. Nil: never.
	Cut func(p *Packet, fromClient bool) *Cut
	// RefuseMessage returns the reason code with which a PUBLISH of MQTT 5 is refused, or
	// 0.
	RefuseMessage func(p *Packet) byte
	// Delay returns how long the answer at hand waits. Those behind it wait, too.
	Delay func() time.Duration
	// Silence returns for how long nothing is read and written from now on.
	Silence func() time.Duration
}

// When says at which instant of a packet a connection is cut.
type When int

// Instants of cuts. InPacket is for packets of the server, the others for packets of the
// client.
const (
	BeforeReading When = iota // the server never sees the packet
	BeforeAnswer              // the packet is processed, and its answers are lost
	AfterAnswer               // the answers are sent
	InPacket                  // the packet is sent in part
)

var whens = [...]string{"before the server reads it", "after processing, before the answer", "after the answer", "within the packet"}

// Cut is the end of a connection.
type Cut struct {
	When  When
	Reset bool // by RST, which also drops what is not yet read, not by FIN
	Bytes int  // InPacket: how many of them are sent
	// Disconnect is the reason code of a DISCONNECT of MQTT 5 that is sent before, 0 for
	// none. Not for InPacket.
	Disconnect byte
}

func (c *Cut) String() string {
	end := "FIN"
	if c.Reset {
		end = "RST"
	}
	return "cut " + whens[c.When] + " by " + end
}
