// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// paho311Wire encodes a packet of 3.1.1 with the codec of Paho.
func paho311Wire(t *testing.T, p packets.ControlPacket) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatalf("paho cannot encode %s: %v", p, err)
	}
	return b.Bytes()
}

// readPaho311 decodes the output of our codec with the codec of Paho.
func readPaho311[P packets.ControlPacket](t *testing.T, wire []byte) P {
	t.Helper()
	r := bytes.NewReader(wire)
	cp, err := packets.ReadPacket(r)
	if err != nil {
		t.Fatalf("paho cannot decode %.40x: %v", wire, err)
	}
	p, ok := cp.(P)
	if !ok || r.Len() > 0 {
		t.Fatalf("paho reads %.40x as %T with %d bytes left", wire, cp, r.Len())
	}
	return p
}

// decoded decodes wire, which must be exactly one packet.
func decoded[T any](t *testing.T, v Version, wire []byte) T {
	t.Helper()
	got, err := decode(v, string(wire))
	if err != nil {
		t.Fatalf("%.80x: %v", wire, err)
	}
	return got.(T)
}

// same fails the test if got and want differ.
func same(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %.300q\nwant %.300q", got, want)
	}
}

func TestPublish_311_MatchesPaho(t *testing.T) {
	random(t, func(t *testing.T, s source) {
		p := s.publish(V311)
		theirs := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
		theirs.TopicName, theirs.MessageID, theirs.Payload = p.Topic, p.ID, []byte(p.Payload)
		theirs.Qos, theirs.Retain, theirs.Dup = p.QoS, p.Retain, p.Dup
		wire := paho311Wire(t, theirs)
		same(t, decoded[Publish](t, V311, wire), p)

		same(t, string(AppendPublish(nil, V311, &p)), string(wire))
		same(t, SizePublish(V311, &p), len(wire))
	})
}

func TestAck_311_MatchesPaho(t *testing.T) {
	for id := 1; id <= 65535; id += 97 {
		for _, theirs := range []packets.ControlPacket{
			&packets.PubackPacket{FixedHeader: packets.FixedHeader{MessageType: packets.Puback}, MessageID: uint16(id)},
			&packets.PubrecPacket{FixedHeader: packets.FixedHeader{MessageType: packets.Pubrec}, MessageID: uint16(id)},
			&packets.PubrelPacket{FixedHeader: packets.FixedHeader{MessageType: packets.Pubrel, Qos: 1}, MessageID: uint16(id)},
			&packets.PubcompPacket{FixedHeader: packets.FixedHeader{MessageType: packets.Pubcomp}, MessageID: uint16(id)},
		} {
			wire := paho311Wire(t, theirs)
			got := decoded[Ack](t, V311, wire)
			same(t, got, Ack{Type: Type(wire[0] >> 4), ID: uint16(id)})
			got.Code, got.Reason = 0x80, "absent in 3.1.1"
			same(t, string(AppendAck(nil, V311, got)), string(wire))
		}
	}
}

func TestConnect_311_IsReadByPaho(t *testing.T) {
	random(t, func(t *testing.T, s source) {
		c := s.connect(V311)
		got := readPaho311[*packets.ConnectPacket](t, AppendConnect(nil, &c))
		if got.ProtocolName != "MQTT" || got.ReservedBit != 0 || got.UsernameFlag != (c.Username != "") || got.PasswordFlag != (c.Password != "") {
			t.Errorf("%+v", got)
		}
		back := Connect{
			Version: Version(got.ProtocolVersion & 0x7f), BridgeFlag: got.ProtocolVersion&0x80 != 0,
			ClientID: got.ClientIdentifier, CleanStart: got.CleanSession, KeepAlive: got.Keepalive,
			Username: got.Username, Password: string(got.Password),
		}
		if got.WillFlag {
			back.Will = &Will{Topic: got.WillTopic, Payload: string(got.WillMessage), QoS: got.WillQos, Retain: got.WillRetain}
		}
		same(t, back, c)
	})
}

func TestSubscriptions_311_MatchPaho(t *testing.T) {
	random(t, func(t *testing.T, s source) {
		sub := s.subscribe(V311)
		theirs := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
		theirs.MessageID = sub.ID
		for i := range sub.Subscriptions {
			theirs.Topics = append(theirs.Topics, sub.Subscriptions[i].Filter)
			theirs.Qoss = append(theirs.Qoss, sub.Subscriptions[i].QoS)
			sub.Subscriptions[i].NoLocal = true // absent in 3.1.1
		}
		same(t, string(AppendSubscribe(nil, V311, &sub)), string(paho311Wire(t, theirs)))

		un := packets.NewControlPacket(packets.Unsubscribe).(*packets.UnsubscribePacket)
		un.MessageID, un.Topics = s.id(), s.filters()
		same(t, string(AppendUnsubscribe(nil, V311, un.MessageID, un.Topics)), string(paho311Wire(t, un)))

		suback := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
		suback.MessageID, suback.ReturnCodes = s.id(), s.codes(0, 1, 2, 0x80)
		same(t, decoded[Suback](t, V311, paho311Wire(t, suback)), Suback{ID: suback.MessageID, Codes: suback.ReturnCodes})
	})
}

func TestConnack_311_MatchesPaho(t *testing.T) {
	for code := range byte(6) {
		theirs := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
		theirs.ReturnCode, theirs.SessionPresent = code, code == 0
		want := Connack{
			Code: code, SessionPresent: code == 0, ReceiveMaximum: 65535, MaximumQoS: 2, RetainAvailable: true,
			WildcardAvailable: true, SubscriptionIDsAvailable: true, SharedAvailable: true,
		}
		same(t, decoded[Connack](t, V311, paho311Wire(t, theirs)), want)
	}
}

func TestEmptyPackets_311_MatchPaho(t *testing.T) {
	same(t, string(AppendPing(nil)), string(paho311Wire(t, packets.NewControlPacket(packets.Pingreq))))
	same(t, string(AppendDisconnect(nil, V311, Disconnect{Code: 0x04, Reason: "absent in 3.1.1"})),
		string(paho311Wire(t, packets.NewControlPacket(packets.Disconnect))))
	same(t, decoded[Frame](t, V311, paho311Wire(t, packets.NewControlPacket(packets.Pingresp))).Type, PINGRESP)
}
