// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"errors"
	"testing"
)

// malformedPacket is one that servers may not send.
type malformedPacket struct {
	rule string // the statement of the specification that forbids it
	wire string
	code byte
	text string
}

func refuses(t *testing.T, v Version, packets []malformedPacket) {
	t.Helper()
	for _, p := range packets {
		got, err := decode(v, p.wire)
		var refused *MalformedError
		if !errors.As(err, &refused) {
			t.Errorf("%s: version %d took %q for %+v, %v", p.rule, v, p.wire, got, err)
			continue
		}
		if refused.Code != p.code || refused.Text != p.text {
			t.Errorf("%s: %q\ngot  %#x %s\nwant %#x %s", p.rule, p.wire, refused.Code, refused.Text, p.code, p.text)
		}
	}
}

// takes is for what looks much like a malformed packet and is none.
func takes(t *testing.T, v Version, packets map[string]string) {
	t.Helper()
	for rule, wire := range packets {
		if _, err := decode(v, wire); err != nil {
			t.Errorf("%s: version %d refused %q: %v", rule, v, wire, err)
		}
	}
}

func TestFixedHeadersThatServersDoNotSendAreRefused(t *testing.T) {
	both := []malformedPacket{
		{"2.2.3, more than four bytes", "\x30\xff\xff\xff\xff", 0x81, "a malformed remaining length"},
		{"2.2.3, more than four bytes", "\x30\x80\x80\x80\x80\x01", 0x81, "a malformed remaining length"},
		{"table 2.1, reserved", "\x00\x00", 0x82, "a packet of type 0, which servers do not send"},
		{"table 2.1, client to server", "\x10\x00", 0x82, "a packet of type 1, which servers do not send"},
		{"table 2.1, client to server", "\x82\x00", 0x82, "a packet of type 8, which servers do not send"},
		{"table 2.1, client to server", "\xa2\x00", 0x82, "a packet of type 10, which servers do not send"},
		{"table 2.1, client to server", "\xc0\x00", 0x82, "a packet of type 12, which servers do not send"},
		{"[MQTT-2.2.2-2]", "\x21\x02\x00\x00", 0x81, "a malformed CONNACK, with the flags 0001 instead of 0000"},
		{"[MQTT-2.2.2-2]", "\x41\x02\x00\x01", 0x81, "a malformed PUBACK, with the flags 0001 instead of 0000"},
		{"[MQTT-2.2.2-2]", "\x52\x02\x00\x01", 0x81, "a malformed PUBREC, with the flags 0010 instead of 0000"},
		{"[MQTT-3.6.1-1]", "\x60\x02\x00\x01", 0x81, "a malformed PUBREL, with the flags 0000 instead of 0010"},
		{"[MQTT-3.6.1-1]", "\x63\x02\x00\x01", 0x81, "a malformed PUBREL, with the flags 0011 instead of 0010"},
		{"[MQTT-2.2.2-2]", "\x72\x02\x00\x01", 0x81, "a malformed PUBCOMP, with the flags 0010 instead of 0000"},
		{"[MQTT-2.2.2-2]", "\x92\x03\x00\x01\x00", 0x81, "a malformed SUBACK, with the flags 0010 instead of 0000"},
		{"[MQTT-2.2.2-2]", "\xb2\x02\x00\x01", 0x81, "a malformed UNSUBACK, with the flags 0010 instead of 0000"},
		{"[MQTT-2.2.2-2]", "\xd8\x00", 0x81, "a malformed PINGRESP, with the flags 1000 instead of 0000"},
		{"[MQTT-3.3.1-4]", "\x36\x06\x00\x01a\x00\x01x", 0x81, "a PUBLISH with QoS 3"},
		{"[MQTT-3.3.1-2]", "\x38\x03\x00\x01a", 0x81, "a PUBLISH with QoS 0 and the DUP flag"},
		{"3.3.2", "\x30\x02\x00\x00", 0x81, "a malformed PUBLISH of 2 bytes"},
		{"3.3.2, a packet identifier", "\x32\x04\x00\x01a\x00", 0x81, "a malformed PUBLISH of 4 bytes"},
		{"3.4.2", "\x40\x01\x00", 0x81, "a malformed PUBACK of 1 bytes"},
		{"3.9.3", "\x90\x02\x00\x01", 0x81, "a malformed SUBACK of 2 bytes"},
		{"3.11.2", "\xb0\x01\x00", 0x81, "a malformed UNSUBACK of 1 bytes"},
		{"3.13.1", "\xd0\x01\x00", 0x81, "a malformed PINGRESP of 1 bytes"},
	}
	refuses(t, V311, both)
	refuses(t, V5, both)
	refuses(t, V311, []malformedPacket{
		{"table 2.1, client to server", "\xe0\x00", 0x82, "a packet of type 14, which servers do not send"},
		{"table 2.1, reserved", "\xf0\x00", 0x82, "a packet of type 15, which servers do not send"},
		{"3.2.1", "\x20\x01\x00", 0x84, "a CONNACK of 1 bytes; it may speak another version of MQTT only"},
		{"3.2.1", "\x20\x03\x00\x84\x00", 0x84, "a CONNACK of 3 bytes; it may speak another version of MQTT only"},
		{"3.4.1", "\x40\x03\x00\x01\x00", 0x81, "a malformed PUBACK of 3 bytes"},
		{"3.5.1", "\x50\x04\x00\x01\x00\x00", 0x81, "a malformed PUBREC of 4 bytes"},
		{"3.6.1", "\x62\x03\x00\x01\x00", 0x81, "a malformed PUBREL of 3 bytes"},
		{"3.7.1", "\x70\x03\x00\x01\x00", 0x81, "a malformed PUBCOMP of 3 bytes"},
		{"3.11.1", "\xb0\x03\x00\x01\x00", 0x81, "a malformed UNSUBACK of 3 bytes"},
	})
	refuses(t, V5, []malformedPacket{
		{"[MQTT-1.5.5-1]", "\xd0\x80\x00", 0x81, "a remaining length in more bytes than it needs"},
		{"[MQTT-1.5.5-1]", "\x30\x84\x80\x00\x00\x01a\x00", 0x81, "a remaining length in more bytes than it needs"},
		{"[MQTT-3.14.1-1]", "\xe1\x00", 0x81, "a malformed DISCONNECT, with the flags 0001 instead of 0000"},
		{"[MQTT-3.15.1-1]", "\xf1\x00", 0x81, "a malformed AUTH, with the flags 0001 instead of 0000"},
		{"3.9.2, a property length", "\x90\x03\x00\x01\x00", 0x81, "a malformed SUBACK of 3 bytes"},
		{"3.11.3, a reason code", "\xb0\x03\x00\x01\x00", 0x81, "a malformed UNSUBACK of 3 bytes"},
		{"3.2.2", "\x20\x01\x00", 0x81, "a malformed CONNACK of 1 bytes"},
	})
	takes(t, V311, map[string]string{
		"2.2.3, 3.1.1 does not ask for the shortest": "\xd0\x80\x00",
		"3.3.3, no payload":                          "\x30\x03\x00\x01a",
	})
	takes(t, V5, map[string]string{
		"3.4.2.1, the shortest":      "\x40\x02\x00\x01",
		"3.14.2.1, the shortest":     "\xe0\x00",
		"3.15.2.1, the shortest":     "\xf0\x00",
		"3.3.2.1, an alias in place": "\x30\x06\x00\x00\x03\x23\x00\x01",
	})
}

func TestPacketsWithWrongTextsAndIdentifiersAreRefused(t *testing.T) {
	both := []malformedPacket{
		{"[MQTT-1.5.3-1], [MQTT-1.5.4-1]", "\x30\x04\x00\x01\xff\x00", 0x81, `a PUBLISH whose topic name is not valid UTF-8: "\xff"`},
		{"[MQTT-1.5.3-1], a surrogate", "\x30\x06\x00\x03\xed\xa0\x80\x00", 0x81, `a PUBLISH whose topic name is not valid UTF-8: "\xed\xa0\x80"`},
		{"[MQTT-1.5.3-1], overlong", "\x30\x05\x00\x02\xc0\x80\x00", 0x81, `a PUBLISH whose topic name is not valid UTF-8: "\xc0\x80"`},
		{"[MQTT-1.5.3-1], cut", "\x30\x05\x00\x02\xf0\x9f\x00", 0x81, `a PUBLISH whose topic name is not valid UTF-8: "\xf0\x9f"`},
		{"[MQTT-1.5.3-2], [MQTT-1.5.4-2]", "\x30\x06\x00\x03a\x00b\x00", 0x81, `a PUBLISH whose topic name holds a NUL character: "a\x00b"`},
		{"[MQTT-3.3.2-2]", "\x30\x06\x00\x03a/#\x00", 0x81, `a PUBLISH whose topic name holds a wildcard: "a/#"`},
		{"[MQTT-3.3.2-2]", "\x30\x06\x00\x03+/a\x00", 0x81, `a PUBLISH whose topic name holds a wildcard: "+/a"`},
		{"[MQTT-4.7.3-1]", "\x30\x03\x00\x00\x00", 0x82, "a PUBLISH without a topic name"},
		{"3.3.2.1", "\x30\x03\x00\x05a", 0x81, "a PUBLISH that ends within its topic name"},
		{"3.3.2.2", "\x32\x05\x00\x02ab\x00", 0x81, "a PUBLISH that ends within its packet identifier"},
		{"[MQTT-2.3.1-1], [MQTT-2.2.1-4]", "\x32\x06\x00\x01a\x00\x00\x00", 0x82, "a PUBLISH with the packet identifier 0"},
		{"[MQTT-2.3.1-6], [MQTT-2.2.1-5]", "\x40\x02\x00\x00", 0x82, "a PUBACK with the packet identifier 0"},
		{"[MQTT-2.3.1-6], [MQTT-2.2.1-5]", "\x50\x02\x00\x00", 0x82, "a PUBREC with the packet identifier 0"},
		{"[MQTT-2.3.1-6], [MQTT-2.2.1-5]", "\x62\x02\x00\x00", 0x82, "a PUBREL with the packet identifier 0"},
		{"2.3.1, [MQTT-2.2.1-5]", "\x70\x02\x00\x00", 0x82, "a PUBCOMP with the packet identifier 0"},
		{"[MQTT-2.3.1-7], [MQTT-2.2.1-6]", "\x90\x04\x00\x00\x00\x00", 0x82, "a SUBACK with the packet identifier 0"},
	}
	refuses(t, V311, both)
	refuses(t, V5, both)
	refuses(t, V311, []malformedPacket{
		{"[MQTT-2.3.1-7]", "\xb0\x02\x00\x00", 0x82, "an UNSUBACK with the packet identifier 0"},
	})
	refuses(t, V5, []malformedPacket{
		{"[MQTT-2.2.1-6]", "\xb0\x04\x00\x00\x00\x00", 0x82, "an UNSUBACK with the packet identifier 0"},
		{"3.2.2, as of 3.1.1", "\x20\x02\x00\x01", 0x84, "a CONNACK of 2 bytes with the code 1, as MQTT 3.1.1 has it; it may speak that version only"},
		{"[MQTT-3.14.2-1]", "\xe0\x01\x04", 0x82, "a DISCONNECT with the reason code 0x04, which it does not have"},
		{"3.9.3, a reason code", "\x90\x06\x00\x01\x03\x1f\x00\x00", 0x81, "a SUBACK that ends within its reason codes"},
	})
	takes(t, V5, map[string]string{
		"2.4, a failure that is not in the table": "\x20\x03\x00\xfe\x00",
		"1.5.4, 1 to 4 bytes beside surrogates":   "\x30\x0d\x00\x0a\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\x00",
		"[MQTT-1.5.4-3]":                          "\x30\x06\x00\x03\xef\xbb\xbf\x00",
	})
}
