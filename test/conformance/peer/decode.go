// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// V311 and V5 are the protocol versions in CONNECT.
const (
	V311 = 4
	V5   = 5
)

// bridgeFlag is the bit of the protocol version by which bridges identify themselves to servers that
// support this extension of MQTT 3.1.1.
const bridgeFlag = 0x80

// Types of control packets.
const (
	CONNECT     = 1
	CONNACK     = 2
	PUBLISH     = 3
	PUBACK      = 4
	PUBREC      = 5
	PUBREL      = 6
	PUBCOMP     = 7
	SUBSCRIBE   = 8
	SUBACK      = 9
	UNSUBSCRIBE = 10
	UNSUBACK    = 11
	PINGREQ     = 12
	PINGRESP    = 13
	DISCONNECT  = 14
	AUTH        = 15
)

var names = [16]string{
	"reserved", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

// Packet is a control packet. Fields that a packet type does not have are zero.
type Packet struct {
	Type        byte
	ID          uint16
	QoS         byte
	Dup, Retain bool
	Topic       string
	Payload     string
	Alias       uint16
	Code        byte
	Codes       []byte // of a SUBACK or UNSUBACK
	Size        int    // of the whole packet, in bytes

	Connect       *Connect
	Subscriptions []Subscription
	SubscriptionID,
	SessionExpiry uint32
	HasSessionExpiry bool
}

// Connect is the content of a CONNECT.
type Connect struct {
	Version        byte
	Bridge         bool // the bridge flag is set
	ClientID       string
	Username       string
	CleanStart     bool
	KeepAlive      uint16
	SessionExpiry  uint32
	ReceiveMaximum uint16
	MaximumPacket  uint32 // 0: no limit
	AliasMaximum   uint16
	Will           bool
}

// Subscription is one filter of a SUBSCRIBE.
type Subscription struct {
	Filter  string
	QoS     byte
	Options byte
	ID      uint32
}

// String formats a packet on one line.
func (p *Packet) String() string {
	var b strings.Builder
	b.WriteString(names[p.Type])
	if p.ID > 0 {
		fmt.Fprintf(&b, " %d", p.ID)
	}
	if p.Type == PUBLISH {
		fmt.Fprintf(&b, " qos%d", p.QoS)
		if p.Dup {
			b.WriteString(" dup")
		}
		if p.Alias > 0 {
			fmt.Fprintf(&b, " alias%d", p.Alias)
		}
		fmt.Fprintf(&b, " %.40s=%.24s (%d bytes)", p.Topic, p.Payload, p.Size)
	}
	if c := p.Connect; c != nil {
		fmt.Fprintf(&b, " v%d %s clean=%t receiveMaximum=%d", c.Version, c.ClientID, c.CleanStart, c.ReceiveMaximum)
	}
	if p.Code > 0 {
		fmt.Fprintf(&b, " 0x%02x", p.Code)
	}
	for _, s := range p.Subscriptions {
		fmt.Fprintf(&b, " %s:%d", s.Filter, s.QoS)
	}
	return b.String()
}

// malformed is a violation of the packet format, with the rule.
type malformed struct{ text string }

func (m malformed) Error() string { return m.text }

func wrong(format string, args ...any) error { return malformed{fmt.Sprintf(format, args...)} }

// headerFlags are the flags of the fixed header, by packet type. PUBLISH has its own (section 2.2.2
// of MQTT 3.1.1).
var headerFlags = map[byte]byte{PUBREL: 2, SUBSCRIBE: 2, UNSUBSCRIBE: 2}

// readPacket reads and checks the next packet of a client. version is 0 before the CONNECT. An
// error of type malformed is the client's fault; any other error is a failure of the connection.
func readPacket(r *bufio.Reader, version byte) (*Packet, error) {
	first, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	length, digits, err := readLength(r)
	if err != nil {
		return nil, err
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	p := &Packet{Type: first >> 4, Size: 1 + digits + length}
	c := &cursor{b: body}
	if version == 0 && p.Type != CONNECT {
		return p, wrong("the first packet is %s, not CONNECT [MQTT-3.1.0-1]", names[p.Type])
	}
	if p.Type != PUBLISH && first&15 != headerFlags[p.Type] {
		return p, wrong("%s with flags %04b [MQTT-2.2.2-2]", names[p.Type], first&15)
	}
	p.decode(c, first&15, version)
	if c.err == nil && len(c.b) > 0 {
		c.fail("%s with %d bytes after its end", names[p.Type], len(c.b))
	}
	return p, c.err
}

// readLength reads a remaining length of 1 to 4 bytes in its shortest encoding.
func readLength(r io.ByteReader) (length, digits int, err error) {
	for shift := 0; ; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, 0, err
		}
		digits++
		length |= int(b&127) << shift
		if b < 128 {
			if b == 0 && digits > 1 {
				return 0, 0, wrong("a remaining length that is not the shortest encoding [MQTT-1.5.5-1]")
			}
			return length, digits, nil
		}
		if digits == 4 {
			return 0, 0, wrong("a remaining length of more than 4 bytes")
		}
	}
}

func (p *Packet) decode(c *cursor, flags, version byte) {
	switch p.Type {
	case CONNECT:
		p.decodeConnect(c)
	case PUBLISH:
		p.decodePublish(c, flags, version)
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		p.ID = c.id()
		if version == V5 && len(c.b) > 0 {
			p.Code = c.u8()
			p.checkCode(c)
			if len(c.b) > 0 {
				c.properties(p.Type)
			}
		}
	case SUBSCRIBE:
		p.decodeSubscribe(c, version)
	case UNSUBSCRIBE:
		p.ID = c.id()
		if version == V5 {
			c.properties(p.Type)
		}
		for first := true; c.err == nil && (first || len(c.b) > 0); first = false {
			p.Subscriptions = append(p.Subscriptions, Subscription{Filter: c.filter()})
		}
	case PINGREQ:
	case DISCONNECT:
		if version == V5 && len(c.b) > 0 {
			p.Code = c.u8()
			p.checkCode(c)
			if len(c.b) > 0 {
				properties := c.properties(p.Type)
				_, p.HasSessionExpiry = properties[propSessionExpiry]
				p.SessionExpiry = properties[propSessionExpiry]
			}
		}
	default:
		c.fail("%s, which a client must not send", names[p.Type])
	}
}

// clientCodes are the reason codes that a client may send, by packet type (MQTT 5 section 2.4).
var clientCodes = map[byte]string{
	PUBACK:     "\x00\x10\x80\x83\x87\x90\x91\x97\x99",
	PUBREC:     "\x00\x10\x80\x83\x87\x90\x91\x97\x99",
	PUBREL:     "\x00\x92",
	PUBCOMP:    "\x00\x92",
	DISCONNECT: "\x00\x04\x80\x81\x82\x83\x90\x93\x94\x95\x96\x97\x98\x99",
}

func (p *Packet) checkCode(c *cursor) {
	if strings.IndexByte(clientCodes[p.Type], p.Code) < 0 {
		c.fail("%s with the reason code 0x%02x, which a client must not send", names[p.Type], p.Code)
	}
}

func (p *Packet) decodeConnect(c *cursor) {
	if name := c.text(); c.err == nil && name != "MQTT" {
		c.fail("CONNECT with the protocol name %q [MQTT-3.1.2-1]", name)
	}
	version := c.u8()
	p.Connect = &Connect{Version: version &^ bridgeFlag, Bridge: version&bridgeFlag != 0, ReceiveMaximum: 65535}
	if v := p.Connect.Version; c.err == nil && v != V311 && v != V5 {
		c.fail("CONNECT of the protocol version %d", v)
	}
	flags := c.u8()
	if flags&1 != 0 {
		c.fail("CONNECT with the reserved flag [MQTT-3.1.2-3]")
	}
	p.Connect.CleanStart, p.Connect.Will = flags&2 != 0, flags&4 != 0
	willQoS := flags >> 3 & 3
	if willQoS == 3 || !p.Connect.Will && flags&0x38 != 0 {
		c.fail("CONNECT with the flags %08b: Will QoS or Will Retain", flags)
	}
	p.Connect.KeepAlive = c.u16()
	if p.Connect.Version == V5 {
		p.connectProperties(c.properties(CONNECT))
	} else if flags&0x40 != 0 && flags&0x80 == 0 {
		c.fail("CONNECT with a password and no user name [MQTT-3.1.2-22]")
	}
	p.Connect.ClientID = c.text()
	if p.Connect.Will {
		if p.Connect.Version == V5 {
			c.properties(will)
		}
		c.topic()
		c.binary()
	}
	if flags&0x80 != 0 {
		p.Connect.Username = c.text()
	}
	if flags&0x40 != 0 {
		c.binary()
	}
}

func (p *Packet) connectProperties(properties map[byte]uint32) {
	c := p.Connect
	c.SessionExpiry = properties[propSessionExpiry]
	if v, ok := properties[propReceiveMaximum]; ok {
		c.ReceiveMaximum = uint16(v)
	}
	c.MaximumPacket = properties[propMaximumPacketSize]
	c.AliasMaximum = uint16(properties[propTopicAliasMaximum])
}

func (p *Packet) decodePublish(c *cursor, flags, version byte) {
	p.Dup, p.QoS, p.Retain = flags&8 != 0, flags>>1&3, flags&1 != 0
	if p.QoS == 3 {
		c.fail("PUBLISH with QoS 3 [MQTT-3.3.1-4]")
	}
	if p.QoS == 0 && p.Dup {
		c.fail("PUBLISH with DUP at QoS 0 [MQTT-3.3.1-2]")
	}
	p.Topic = c.text()
	if strings.ContainsAny(p.Topic, "+#") {
		c.fail("PUBLISH to a topic with wildcards, %q [MQTT-3.3.2-2]", p.Topic)
	}
	if p.QoS > 0 {
		p.ID = c.id()
	}
	if version == V5 {
		properties := c.properties(PUBLISH)
		p.Alias = uint16(properties[propTopicAlias])
	}
	if p.Topic == "" && p.Alias == 0 {
		c.fail("PUBLISH without a topic [MQTT-4.7.3-1]")
	}
	p.Payload = string(c.b)
	c.b = nil
}

func (p *Packet) decodeSubscribe(c *cursor, version byte) {
	p.ID = c.id()
	if version == V5 {
		p.SubscriptionID = c.properties(SUBSCRIBE)[propSubscriptionID]
	}
	for first := true; c.err == nil && (first || len(c.b) > 0); first = false {
		s := Subscription{Filter: c.filter(), ID: p.SubscriptionID}
		options := c.u8()
		s.QoS, s.Options = options&3, options
		reserved := byte(0xFC)
		if version == V5 {
			reserved = 0xC0
		}
		if options&reserved != 0 || s.QoS == 3 || version == V5 && options>>4 == 3 {
			c.fail("SUBSCRIBE with the options %08b [MQTT-3.8.3-4]", options)
		}
		p.Subscriptions = append(p.Subscriptions, s)
	}
}
