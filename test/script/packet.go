// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package script

import (
	"fmt"
	"io"
	"strings"

	v5 "github.com/eclipse/paho.golang/packets"
	v311 "github.com/eclipse/paho.mqtt.golang/packets"
)

// Packet is a control packet of either version. Fields that a packet type does not have are zero.
type Packet struct {
	Type           byte // the numbers of package packets of paho.golang
	ID             uint16
	QoS            byte
	Dup, Retain    bool
	Topic, Payload string
	Code           byte
	Codes          []byte // of a SUBACK or UNSUBACK
	SessionPresent bool
	Properties     *v5.Properties // nil: none

	Connect       *v5.Connect // of a CONNECT
	Subscriptions []v5.SubOptions
	Filters       []string // of an UNSUBSCRIBE
}

var names = [16]string{
	"", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

// String returns the packet in the notation of the tests: the name, the packet identifier, and the
// other fields.
func (p Packet) String() string {
	b := names[p.Type]
	if p.ID > 0 {
		b += fmt.Sprintf(" %d", p.ID)
	}
	if p.Type == v5.PUBLISH {
		b += fmt.Sprintf(" qos%d", p.QoS)
		if p.Dup {
			b += " dup"
		}
		if p.Retain {
			b += " retain"
		}
		if p.Properties != nil && p.Properties.TopicAlias != nil {
			b += fmt.Sprintf(" alias%d", *p.Properties.TopicAlias)
		}
		b += fmt.Sprintf(" %s=%s", p.Topic, p.Payload)
	}
	if p.Code > 0 {
		b += fmt.Sprintf(" 0x%02x", p.Code)
	}
	for _, s := range p.Subscriptions {
		b += fmt.Sprintf(" %s:%d", s.Topic, s.QoS)
	}
	for _, f := range p.Filters {
		b += " " + f
	}
	return b
}

// Publish returns a PUBLISH packet.
func Publish(id uint16, qos byte, topic, payload string) Packet {
	return Packet{Type: v5.PUBLISH, ID: id, QoS: qos, Topic: topic, Payload: payload}
}

// Duplicate returns p with the DUP flag.
func Duplicate(p Packet) Packet {
	p.Dup = true
	return p
}

// Ack returns an acknowledgement with a reason code of MQTT 5, or 0.
func Ack(packetType byte, id uint16, code byte) Packet {
	return Packet{Type: packetType, ID: id, Code: code}
}

// read reads a packet of MQTT 3.1.1 or 5.
func read(r io.Reader, version byte) (Packet, error) {
	if version == 5 {
		return read5(r)
	}
	packet, err := v311.ReadPacket(r)
	if err != nil {
		return Packet{}, err
	}
	p := Packet{ID: packet.Details().MessageID}
	switch c := packet.(type) {
	case *v311.ConnectPacket:
		p.Type = v5.CONNECT
		p.Connect = &v5.Connect{
			ProtocolName: c.ProtocolName, ProtocolVersion: c.ProtocolVersion, CleanStart: c.CleanSession,
			KeepAlive: c.Keepalive, ClientID: c.ClientIdentifier,
			UsernameFlag: c.UsernameFlag, Username: c.Username, PasswordFlag: c.PasswordFlag, Password: c.Password,
			WillFlag: c.WillFlag, WillTopic: c.WillTopic, WillMessage: c.WillMessage, WillQOS: c.WillQos, WillRetain: c.WillRetain,
		}
	case *v311.PublishPacket:
		p.Type, p.QoS, p.Dup, p.Retain = v5.PUBLISH, c.Qos, c.Dup, c.Retain
		p.Topic, p.Payload = c.TopicName, string(c.Payload)
	case *v311.SubscribePacket:
		p.Type = v5.SUBSCRIBE
		for i := range c.Topics {
			p.Subscriptions = append(p.Subscriptions, v5.SubOptions{Topic: c.Topics[i], QoS: c.Qoss[i]})
		}
	case *v311.UnsubscribePacket:
		p.Type, p.Filters = v5.UNSUBSCRIBE, c.Topics
	case *v311.PubackPacket:
		p.Type = v5.PUBACK
	case *v311.PubrecPacket:
		p.Type = v5.PUBREC
	case *v311.PubrelPacket:
		p.Type = v5.PUBREL
	case *v311.PubcompPacket:
		p.Type = v5.PUBCOMP
	case *v311.PingreqPacket:
		p.Type = v5.PINGREQ
	case *v311.DisconnectPacket:
		p.Type = v5.DISCONNECT
	default:
		return p, fmt.Errorf("received unexpected %T from a client", packet)
	}
	return p, nil
}

func read5(r io.Reader) (Packet, error) {
	packet, err := v5.ReadPacket(r)
	if err != nil {
		return Packet{}, err
	}
	p := Packet{Type: packet.Type, ID: packet.PacketID()}
	switch c := packet.Content.(type) {
	case *v5.Connect:
		p.Connect, p.Properties = c, c.Properties
	case *v5.Publish:
		p.QoS, p.Dup, p.Retain, p.Properties = c.QoS, c.Duplicate, c.Retain, c.Properties
		p.Topic, p.Payload = c.Topic, string(c.Payload)
	case *v5.Subscribe:
		p.Subscriptions, p.Properties = c.Subscriptions, c.Properties
	case *v5.Unsubscribe:
		p.Filters = c.Topics
	case *v5.Puback:
		p.Code = c.ReasonCode
	case *v5.Pubrec:
		p.Code = c.ReasonCode
	case *v5.Pubrel:
		p.Code = c.ReasonCode
	case *v5.Pubcomp:
		p.Code, p.ID = c.ReasonCode, c.PacketID // PacketID does not return it for PUBCOMP
	case *v5.Disconnect:
		p.Code = c.ReasonCode
	}
	return p, nil
}

// bytes encodes a packet in the form in which servers send it.
func (p *Packet) bytes(version byte) ([]byte, error) {
	var b strings.Builder
	if version == 5 {
		if _, err := p.packet5().WriteTo(&b); err != nil {
			return nil, err
		}
		return []byte(b.String()), nil
	}
	packet := v311.NewControlPacket(p.Type)
	switch c := packet.(type) {
	case *v311.ConnackPacket:
		c.SessionPresent, c.ReturnCode = p.SessionPresent, p.Code
	case *v311.PublishPacket:
		c.MessageID, c.Qos, c.Dup, c.Retain, c.TopicName, c.Payload = p.ID, p.QoS, p.Dup, p.Retain, p.Topic, []byte(p.Payload)
	case *v311.PubackPacket:
		c.MessageID = p.ID
	case *v311.PubrecPacket:
		c.MessageID = p.ID
	case *v311.PubrelPacket:
		c.MessageID = p.ID
	case *v311.PubcompPacket:
		c.MessageID = p.ID
	case *v311.SubackPacket:
		c.MessageID, c.ReturnCodes = p.ID, p.Codes
	case *v311.UnsubackPacket:
		c.MessageID = p.ID
	case *v311.PingrespPacket:
	default:
		return nil, fmt.Errorf("a server of MQTT 3.1.1 does not send %s", *p)
	}
	err := packet.Write(&b)
	return []byte(b.String()), err
}

func (p *Packet) packet5() *v5.ControlPacket {
	properties := p.Properties
	if properties == nil {
		properties = &v5.Properties{}
	}
	packet := v5.NewControlPacket(p.Type)
	switch c := packet.Content.(type) {
	case *v5.Connack:
		c.SessionPresent, c.ReasonCode, c.Properties = p.SessionPresent, p.Code, properties
	case *v5.Publish:
		c.PacketID, c.QoS, c.Duplicate, c.Retain, c.Topic, c.Payload, c.Properties = p.ID, p.QoS, p.Dup, p.Retain, p.Topic, []byte(p.Payload), properties
		packet.Flags = c.ToControlPacket().Flags
	case *v5.Puback:
		c.PacketID, c.ReasonCode, c.Properties = p.ID, p.Code, properties
	case *v5.Pubrec:
		c.PacketID, c.ReasonCode, c.Properties = p.ID, p.Code, properties
	case *v5.Pubrel:
		c.PacketID, c.ReasonCode, c.Properties = p.ID, p.Code, properties
	case *v5.Pubcomp:
		c.PacketID, c.ReasonCode, c.Properties = p.ID, p.Code, properties
	case *v5.Suback:
		c.PacketID, c.Reasons, c.Properties = p.ID, p.Codes, properties
	case *v5.Unsuback:
		c.PacketID, c.Reasons, c.Properties = p.ID, p.Codes, properties
	case *v5.Disconnect:
		c.ReasonCode, c.Properties = p.Code, properties
	case *v5.Auth:
		c.ReasonCode, c.Properties = p.Code, properties
	}
	return packet
}
