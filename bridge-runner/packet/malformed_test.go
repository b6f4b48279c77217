// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"errors"
	"strings"
	"testing"
)

// malformedPacket is a packet whose fields cannot be found.
type malformedPacket struct {
	rule string // the statement of the specification that forbids it
	wire string
	code byte
	text string
}

// refuses checks that the packets are rejected with the given code and text.
func refuses(t *testing.T, v Version, packets []malformedPacket) {
	t.Helper()
	for _, p := range packets {
		got, err := decode(v, p.wire)
		var refused *MalformedError
		if !errors.As(err, &refused) {
			t.Errorf("%s: version %d decoded %q as %+v, %v", p.rule, v, p.wire, got, err)
			continue
		}
		if refused.Code != p.code || refused.Text != p.text {
			t.Errorf("%s: %q\ngot  %#x %s\nwant %#x %s", p.rule, p.wire, refused.Code, refused.Text, p.code, p.text)
		}
	}
}

// accepts checks that the packets are decoded without an error or a fault. They are
// similar to malformed packets.
func accepts(t *testing.T, v Version, packets map[string]string) {
	t.Helper()
	for rule, wire := range packets {
		got, err := decode(v, wire)
		if err != nil {
			t.Errorf("%s: version %d refused %q: %v", rule, v, wire, err)
		}
		if f := faultsOf(got); f != 0 {
			t.Errorf("%s: version %d found in %q that %s", rule, v, wire, f)
		}
	}
}

// faultsOf returns the faults of a decoded packet.
func faultsOf(p any) Faults {
	switch p := p.(type) {
	case Publish:
		return p.Faults
	case Ack:
		return p.Faults
	case Suback:
		return p.Faults
	}
	return 0
}

// faultyPacket is a packet that violates the protocol, but whose fields can be found.
type faultyPacket struct {
	rule   string
	wire   string
	faults Faults
	want   string // topic name, colon and payload of a PUBLISH that can be forwarded
}

// tolerates checks that the packets are decoded with the given faults.
func tolerates(t *testing.T, v Version, packets []faultyPacket) {
	t.Helper()
	for _, p := range packets {
		got, err := decode(v, p.wire)
		if err != nil || faultsOf(got) != p.faults {
			t.Errorf("%s: version %d: %q: %v, faults: %s; want %s", p.rule, v, p.wire, err, faultsOf(got), p.faults)
			continue
		}
		if m, ok := got.(Publish); ok && !m.Faults.Undeliverable() != (p.want != "") {
			t.Errorf("%s: version %d: %q: undeliverable: %t", p.rule, v, p.wire, m.Faults.Undeliverable())
		} else if ok && p.want != "" && m.Topic+":"+m.Payload != p.want {
			t.Errorf("%s: version %d: %q: %q, want %q", p.rule, v, p.wire, m.Topic+":"+m.Payload, p.want)
		}
	}
}

func TestFixedHeader_FieldsCannotBeFound_IsRefused(t *testing.T) {
	both := []malformedPacket{
		{"2.2.3, more than four bytes", "\x30\xff\xff\xff\xff", 0x81, "a malformed remaining length"},
		{"2.2.3, more than four bytes", "\x30\x80\x80\x80\x80\x01", 0x81, "a malformed remaining length"},
		{"table 2.1, reserved", "\x00\x00", 0x82, "a packet of type 0, which does not exist"},
		{"[MQTT-3.3.1-4]", "\x36\x06\x00\x01a\x00\x01x", 0x81, "a PUBLISH with QoS 3"},
		{"3.3.2", "\x30\x01\x00", 0x81, "a malformed PUBLISH of 1 byte"},
		{"3.3.2, a packet identifier", "\x32\x03\x00\x01a", 0x81, "a malformed PUBLISH of 3 bytes"},
		{"3.3.2.1", "\x30\x03\x00\x05a", 0x81, "a PUBLISH that ends within its topic name"},
		{"3.3.2.2", "\x32\x05\x00\x02ab\x00", 0x81, "a PUBLISH that ends within its packet identifier"},
		{"3.4.2", "\x40\x01\x00", 0x81, "a malformed PUBACK of 1 byte"},
		{"3.9.3", "\x90\x01\x00", 0x81, "a malformed SUBACK of 1 byte"},
	}
	refuses(t, V311, both)
	refuses(t, V5, both)
	refuses(t, V311, []malformedPacket{
		{"table 2.1, reserved", "\xf0\x00", 0x82, "a packet of type 15, which does not exist"},
		{"3.2.1", "\x20\x03\x00\x84\x00", 0x84, "a CONNACK of 3 bytes; the server may support only another version of MQTT"},
	})
	refuses(t, V5, []malformedPacket{
		{"[MQTT-1.5.5-1]", "\xd0\x80\x00", 0x81, "a remaining length that uses more bytes than necessary"},
		{"[MQTT-1.5.5-1]", "\x30\x84\x80\x00\x00\x01a\x00", 0x81, "a remaining length that uses more bytes than necessary"},
		{"3.2.2", "\x20\x01\x00", 0x81, "a malformed CONNACK of 1 byte"},
		{"[MQTT-2.2.2-1]", "\x90\x04\x00\x01\x80\x80", 0x81, "a SUBACK with a property length that exceeds the packet"},
		{"3.2.2, as of 3.1.1", "\x20\x02\x00\x01", 0x84, "a CONNACK of 2 bytes with code 1, in the format of MQTT 3.1.1; the server may support only that version"},
	})
	accepts(t, V311, map[string]string{
		"2.2.3, not the shortest encoding": "\xd0\x80\x00",
		"3.3.3, no payload":                "\x30\x03\x00\x01a",
	})
	accepts(t, V5, map[string]string{
		"3.4.2.1, the shortest":                  "\x40\x02\x00\x01",
		"3.14.2.1, the shortest":                 "\xe0\x00",
		"3.15.2.1, the shortest":                 "\xf0\x00",
		"3.3.2.1, a topic alias only":            "\x30\x06\x00\x00\x03\x23\x00\x01",
		"2.4, an unknown failure code":           "\x20\x03\x00\xfe\x00",
		"1.5.4, characters next to surrogates":   "\x30\x0d\x00\x0a\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\x00",
		"[MQTT-1.5.4-3]":                         "\x30\x06\x00\x03\xef\xbb\xbf\x00",
		"1.5.4, control characters are allowed":  "\x30\x07\x00\x04\x01\x1f\x7f\n\x00",
		"3.4.2.1, an unknown code":               "\x40\x03\x00\x01\x01",
		"1.5.4, a non-character is allowed, too": "\x30\x06\x00\x03\xef\xbf\xbf\x00",
	})
}

// A PUBLISH that cannot be forwarded is decoded with its topic name and packet identifier,
// so that it can be logged and acknowledged.
func TestPublish_InvalidTopic_IsUndeliverableWithIdentifier(t *testing.T) {
	for topic, fault := range map[string]Faults{
		"\xff":                           FaultTopicUTF8, // [MQTT-1.5.3-1], [MQTT-1.5.4-1]
		"\xed\xa0\x80":                   FaultTopicUTF8, // a surrogate
		"\xc0\x80":                       FaultTopicUTF8, // overlong
		"\xf0\x9f":                       FaultTopicUTF8, // cut
		"a\x00b":                         FaultTopicNUL,  // [MQTT-1.5.3-2], [MQTT-1.5.4-2]
		"a/#":                            FaultTopicWildcard,
		"+/a":                            FaultTopicWildcard,
		"a+":                             FaultTopicWildcard,
		"":                               FaultNoTopic, // [MQTT-4.7.3-1]
		strings.Repeat("x", 65534) + "#": FaultTopicWildcard,
	} {
		for _, v := range versions {
			for qos := range byte(3) {
				p := Publish{Topic: topic, Payload: "x", QoS: qos, Retain: true, ID: uint16(qos) * 7}
				got := decoded[Publish](t, v.version, AppendPublish(nil, v.version, &p))
				if got.Faults != fault || !got.Faults.Undeliverable() || got.Faults.Label() != "topic" || got.Topic != topic || got.ID != p.ID || got.QoS != qos {
					t.Errorf("version %s, QoS %d: %.40q: %+v", v.name, qos, topic, got.Faults)
				}
			}
		}
	}
}

func TestPacket_ViolatesProtocol_IsDecodedWithoutInvalidPart(t *testing.T) {
	both := []faultyPacket{
		{"[MQTT-3.3.1-2]", "\x38\x03\x00\x01a", FaultDup, "a:"},
		{"[MQTT-2.2.2-2]", "\x41\x02\x00\x01", FaultFlags, ""},
		{"[MQTT-2.2.2-2]", "\x52\x02\x00\x01", FaultFlags, ""},
		{"[MQTT-3.6.1-1]", "\x60\x02\x00\x01", FaultFlags, ""},
		{"[MQTT-3.6.1-1]", "\x63\x02\x00\x01", FaultFlags, ""},
		{"[MQTT-2.2.2-2]", "\x72\x02\x00\x01", FaultFlags, ""},
		{"[MQTT-2.3.1-6], [MQTT-2.2.1-5]", "\x40\x02\x00\x00", FaultNoID, ""},
		{"[MQTT-2.3.1-6], [MQTT-2.2.1-5]", "\x62\x02\x00\x00", FaultNoID, ""},
		{"2.3.1, [MQTT-2.2.1-5]", "\x70\x02\x00\x00", FaultNoID, ""},
		{"[MQTT-2.3.1-1], [MQTT-2.2.1-4]", "\x32\x06\x00\x01a\x00\x00\x00", FaultNoID, "a:"},
	}
	both[len(both)-1].want = "a:\x00"
	tolerates(t, V311, both)
	both[0].wire, both[len(both)-1].want = "\x38\x04\x00\x01a\x00", "a:"
	tolerates(t, V5, both)
	tolerates(t, V311, []faultyPacket{
		{"3.4.1", "\x40\x03\x00\x01\x00", FaultTrailing, ""},
		{"3.6.1", "\x62\x03\x00\x01\x00", FaultTrailing, ""},
		{"[MQTT-3.9.3-2]", "\x90\x04\x00\x01\x02\x03", FaultCode, ""},
		{"[MQTT-2.2.2-2]", "\x92\x03\x00\x01\x00", FaultFlags, ""},
	})
	tolerates(t, V5, []faultyPacket{
		{"[MQTT-2.2.2-1]", "\x30\x03\x00\x01a", FaultPropertyLength, ""},
		{"2.2.2.1", "\x30\x05\x00\x01a\x02\x01", FaultPropertyLength, ""},
		{"2.2.2.1", "\x30\x06\x00\x01a\xff\xff\x7f", FaultPropertyLength, ""},
		{"1.5.5", "\x30\x08\x00\x01a\xff\xff\xff\xff\x01", FaultPropertyLength, ""},
		{"[MQTT-1.5.5-1]", "\x30\x06\x00\x01a\x80\x00x", 0, "a:x"},
		{"3.3.2.3.4, no topic alias", "\x30\x05\x00\x00\x02\x01\x01", FaultNoTopic, ""},
		{"3.4.2.2.1", "\x40\x05\x00\x01\x00\x00\x00", FaultTrailing, ""},
		{"3.4.2.2.1", "\x40\x04\x00\x01\x00\x09", FaultPropertyLength, ""},
		{"[MQTT-3.9.3-2]", "\x90\x05\x00\x01\x00\x01\x03", FaultCode, ""},
	})
	s := decoded[Suback](t, V311, []byte("\x90\x05\x00\x01\x02\x03\x87"))
	same(t, s.Codes, []byte{2, 3, 0x87}) // the subscriber reports them
}

func TestDisconnect_InvalidFields_IsDecodedWithoutThem(t *testing.T) {
	for wire, want := range map[string]Disconnect{
		"\xe0\x01\x04":                               {Code: 4}, // [MQTT-3.14.2-1]
		"\xe1\x02\x8b\x05":                           {Code: 0x8b},
		"\xe0\x04\x8b\x00\x00\x00":                   {Code: 0x8b},
		"\xe0\x06\x8b\x04\x1f\x00\x01\xff":           {Code: 0x8b},
		"\xe0\x0a\x8b\x08\x1f\x00\x01a\x1f\x00\x01b": {Code: 0x8b, Reason: "a"},
		"\xe0\x07\x8b\x05\x7f\x1f\x00\x01a":          {Code: 0x8b},
	} {
		same(t, decoded[Disconnect](t, V5, []byte(wire)), want)
	}
}
