// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// withProperties makes a packet of MQTT 5 with properties, that is well-formed but for
// those.
func withProperties(in Type, properties ...string) string {
	all := strings.Join(properties, "")
	all = string(appendVarint(nil, len(all))) + all
	flags, body := "0", ""
	switch in {
	case CONNACK:
		body = "\x00\x00" + all
	case PUBLISH:
		body = "\x00\x01a" + all
	case PUBREL:
		flags, body = "2", "\x00\x01\x00"+all
	case SUBACK, UNSUBACK:
		body = "\x00\x01" + all + "\x00"
	case DISCONNECT:
		body = "\x00" + all
	default:
		body = "\x00\x01\x00" + all
	}
	return string(appendHeader(nil, in, flags[0]-'0', len(body))) + body
}

// table24 is table 2-4 of MQTT 5, as far as servers send it: a value for each property,
// and the packets that may have it.
var table24 = []struct {
	id    byte
	name  string
	value string
	in    string
	zero  bool // the value may be 0
	twice bool
}{
	{0x01, "Payload Format Indicator", "\x01", "PUBLISH", true, false},
	{0x02, "Message Expiry Interval", "\x00\x00\x00\x01", "PUBLISH", true, false},
	{0x03, "Content Type", "\x00\x01a", "PUBLISH", true, false},
	{0x08, "Response Topic", "\x00\x01a", "PUBLISH", true, false},
	{0x09, "Correlation Data", "\x00\x01\xff", "PUBLISH", true, false},
	{0x0b, "Subscription Identifier", "\x01", "PUBLISH", false, true},
	{0x11, "Session Expiry Interval", "\x00\x00\x00\x01", "CONNACK", true, false}, // [MQTT-3.14.2-2]: no DISCONNECT
	{0x12, "Assigned Client Identifier", "\x00\x01a", "CONNACK", true, false},
	{0x13, "Server Keep Alive", "\x00\x01", "CONNACK", true, false},
	{0x15, "Authentication Method", "\x00\x01a", "CONNACK", true, false},
	{0x16, "Authentication Data", "\x00\x01\xff", "CONNACK", true, false},
	{0x1a, "Response Information", "\x00\x01a", "CONNACK", true, false},
	{0x1c, "Server Reference", "\x00\x01a", "CONNACK DISCONNECT", true, false},
	{0x1f, "Reason String", "\x00\x01a", "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT", true, false},
	{0x21, "Receive Maximum", "\x00\x01", "CONNACK", false, false},
	{0x22, "Topic Alias Maximum", "\x00\x01", "CONNACK", true, false},
	{0x23, "Topic Alias", "\x00\x01", "PUBLISH", false, false},
	{0x24, "Maximum QoS", "\x01", "CONNACK", true, false},
	{0x25, "Retain Available", "\x01", "CONNACK", true, false},
	{0x26, "User Property", "\x00\x01a\x00\x01b", "PUBLISH CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT", true, true},
	{0x27, "Maximum Packet Size", "\x00\x00\x00\x01", "CONNACK", false, false},
	{0x28, "Wildcard Subscription Available", "\x01", "CONNACK", true, false},
	{0x29, "Subscription Identifier Available", "\x01", "CONNACK", true, false},
	{0x2a, "Shared Subscription Available", "\x01", "CONNACK", true, false},
}

var withPropertiesTypes = []Type{CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT}

// refusal returns the code and the text of the error with which a packet of MQTT 5 is
// refused.
func refusal(t *testing.T, wire string) (code byte, text string) {
	t.Helper()
	got, err := decode(V5, wire)
	var refused *MalformedError
	if !errors.As(err, &refused) {
		t.Errorf("took %q for %+v, %v", wire, got, err)
		return 0, ""
	}
	return refused.Code, refused.Text
}

func TestAPacketHasThePropertiesOfTable24AndNoOthers(t *testing.T) {
	for _, in := range withPropertiesTypes {
		if _, err := decode(V5, withProperties(in)); err != nil {
			t.Errorf("%s without properties: %v", in, err)
		}
		known := map[byte]bool{}
		for _, p := range table24 {
			if !slices.Contains(strings.Fields(p.in), in.String()) {
				continue
			}
			known[p.id] = true
			if _, err := decode(V5, withProperties(in, string(p.id)+p.value)); err != nil {
				t.Errorf("%s with %s: %v", in, p.name, err)
			}
		}
		for id := range 256 {
			if known[byte(id)] {
				continue
			}
			if in == CONNACK && (id < len(properties) && properties[id].kind != 0 || id == 0x17 || id == 0x18 || id == 0x19) {
				continue // its end is known: TestConnack_MistakeWithClearMeaning_IsAcceptedAndNoted
			}
			whose := "it"
			if in == CONNACK {
				whose = "MQTT 5"
			}
			code, text := refusal(t, withProperties(in, string([]byte{byte(id), 0, 1, 'a', 0, 1, 'b'})))
			if want := fmt.Sprintf("%s with the property 0x%02x, which %s does not have", in.indefinite(), id, whose); code != 0x81 || text != want {
				t.Errorf("got  %#x %s\nwant %s (section 2.2.2.2)", code, text, want)
			}
		}
	}
}

// Each property says of itself that it is a Protocol Error to include it twice.
func TestAPropertyThatComesTwiceIsRefused(t *testing.T) {
	for _, p := range table24 {
		for _, name := range strings.Fields(p.in) {
			in := Type(slices.Index(names[:], name))
			wire := withProperties(in, string(p.id)+p.value, string(p.id)+p.value)
			if p.twice || in == CONNACK {
				takes(t, V5, map[string]string{p.name: wire})
				continue
			}
			code, text := refusal(t, wire)
			if want := in.indefinite() + " with more than one " + p.name; code != 0x82 || text != want {
				t.Errorf("got  %#x %s\nwant %s", code, text, want)
			}
		}
	}
}

func TestAPropertyThatIsCutShortIsRefused(t *testing.T) {
	for _, p := range table24 {
		in := Type(slices.Index(names[:], strings.Fields(p.in)[0]))
		for n := range len(p.value) {
			code, text := refusal(t, withProperties(in, string(p.id)+p.value[:n]))
			if want := in.indefinite() + " that ends within its " + p.name; code != 0x81 || text != want {
				t.Errorf("got  %#x %s\nwant %s", code, text, want)
			}
		}
	}
}

func TestAPropertyOutOfItsRangeIsRefused(t *testing.T) {
	for _, p := range table24 {
		in := Type(slices.Index(names[:], strings.Fields(p.in)[0]))
		zero := withProperties(in, string(p.id)+strings.Repeat("\x00", len(p.value)))
		switch {
		case p.name == "Topic Alias":
			refuses(t, V5, []malformedPacket{{"[MQTT-3.3.2-8]", zero, 0x94, "a PUBLISH with the Topic Alias 0, which is out of range"}})
		case !p.zero && in != CONNACK: // sections 3.2.2.3.3, 3.2.2.3.6, 3.3.2.3.8
			refuses(t, V5, []malformedPacket{{p.name, zero, 0x82, in.indefinite() + " with the " + p.name + " 0, which is out of range"}})
		case len(p.value) > 2: // a text has a length
		default:
			takes(t, V5, map[string]string{p.name: zero})
		}
		if len(p.value) == 1 && p.zero && in != CONNACK { // sections 3.2.2.3.4, 3.2.2.3.5, 3.2.2.3.11 to 13, 3.3.2.3.2
			refuses(t, V5, []malformedPacket{{
				p.name, withProperties(in, string(p.id)+"\x02"), 0x82,
				in.indefinite() + " with the " + p.name + " 2, which is out of range",
			}})
		}
	}
}

func TestMalformedPropertiesAreRefused(t *testing.T) {
	refuses(t, V5, []malformedPacket{
		{"2.2.2.1", "\x30\x05\x00\x01a\x02\x01", 0x81, "a PUBLISH whose property length of 2 goes beyond its end"},
		{"2.2.2.1", "\x30\x06\x00\x01a\xff\xff\x7f", 0x81, "a PUBLISH whose property length of 2097151 goes beyond its end"},
		{"[MQTT-2.2.2-1]", "\x30\x03\x00\x01a", 0x81, "a PUBLISH that ends within its property length"},
		{"[MQTT-2.2.2-1]", "\x90\x04\x00\x01\x80\x80", 0x81, "a SUBACK that ends within its property length"},
		{"[MQTT-1.5.5-1]", "\x30\x05\x00\x01a\x80\x00", 0x81, "a PUBLISH whose property length takes more bytes than it needs"},
		{"1.5.5", "\x30\x08\x00\x01a\xff\xff\xff\xff\x01", 0x81, "a PUBLISH whose property length has more than 4 bytes"},
		{"1.5.5", withProperties(PUBLISH, "\x0b\xff\xff\xff\xff\x01"), 0x81, "a PUBLISH whose Subscription Identifier has more than 4 bytes"},
		{"[MQTT-1.5.5-1]", withProperties(PUBLISH, "\x0b\x81\x00"), 0x81, "a PUBLISH whose Subscription Identifier takes more bytes than it needs"},
		{"[MQTT-1.5.4-1]", withProperties(PUBLISH, "\x03\x00\x01\xff"), 0x81, `a PUBLISH whose Content Type is not valid UTF-8: "\xff"`},
		{"[MQTT-1.5.4-2]", withProperties(DISCONNECT, "\x1f\x00\x01\x00"), 0x81, `a DISCONNECT whose Reason String holds a NUL character: "\x00"`},
		{"[MQTT-1.5.7-1]", withProperties(PUBACK, "\x26\x00\x01\xff\x00\x00"), 0x81, `a PUBACK whose User Property is not valid UTF-8: "\xff"`},
		{"[MQTT-1.5.7-1]", withProperties(PUBACK, "\x26\x00\x00\x00\x01\xff"), 0x81, `a PUBACK whose User Property is not valid UTF-8: "\xff"`},
		{"[MQTT-3.3.2-14]", withProperties(PUBLISH, "\x08\x00\x01#"), 0x81, `a PUBLISH whose Response Topic holds a wildcard: "#"`},
		{"2.2.2.1", "\x20\x04\x00\x00\x02\x24", 0x81, "a CONNACK whose property length of 2 goes beyond its end"},
		{"a packet has its length", "\x40\x05\x00\x01\x00\x00\x00", 0x81, "a PUBACK with 1 bytes too many"},
		{"a packet has its length", "\xe0\x04\x00\x00\x00\x00", 0x81, "a DISCONNECT with 2 bytes too many"},
		{"3.3.2.3.4, no alias after all", "\x30\x05\x00\x00\x02\x01\x01", 0x82, "a PUBLISH without a topic name"},
	})
	takes(t, V5, map[string]string{
		"3.3.2.3.6, the value is binary": withProperties(PUBLISH, "\x09\x00\x02\x00\xff"),
		"1.5.5, the greatest":            withProperties(PUBLISH, "\x0b\xff\xff\xff\x7f"),
	})
}

func TestPropertiesThatSayWhatTheirAbsenceSaysAreAbsent(t *testing.T) {
	wire := withProperties(PUBLISH, "\x01\x00", "\x03\x00\x00", "\x08\x00\x00", "\x09\x00\x00", "\x23\x00\x07", "\x0b\x01", "\x0b\x80\x01")
	same(t, decoded[Publish](t, V5, []byte(wire)), Publish{Topic: "a", TopicAlias: 7, Subscriptions: []uint32{1, 128}})

	// A message that has expired and a User Property without any text say something.
	for property, want := range map[string]Properties{
		"\x02\x00\x00\x00\x00": {Expires: true},
		"\x26\x00\x00\x00\x00": {User: []UserProperty{{}}},
	} {
		same(t, decoded[Publish](t, V5, []byte(withProperties(PUBLISH, property))).Properties, &want)
	}
}
