// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"slices"
	"strings"
	"testing"
)

// withProperties returns an MQTT 5 packet with the given encoded properties. The rest of
// the packet is well-formed.
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

// table24 is table 2-4 of MQTT 5 without the properties that servers do not send. Each
// entry has a valid value and the packets that may have the property.
var table24 = []struct {
	id    byte
	name  string
	value string
	in    string
	zero  bool // the value may be 0
	twice bool // a packet may have it twice
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

// wantFaults decodes an MQTT 5 packet and compares its faults. There are exceptions: the
// faults of a DISCONNECT are not returned, an UNSUBACK is not decoded, and a CONNACK must
// be refused.
func wantFaults(t *testing.T, in Type, wire string, want Faults) any {
	t.Helper()
	got, err := decode(V5, wire)
	switch {
	case in == CONNACK:
		if err == nil {
			t.Errorf("decoded %q as %+v", wire, got)
		}
	case err != nil:
		t.Errorf("refused %q: %v", wire, err)
	case in != DISCONNECT && in != UNSUBACK && faultsOf(got) != want:
		t.Errorf("%q: faults: %s; want %s", wire, faultsOf(got), want)
	}
	return got
}

func TestProperty_OfAnotherPacketOrUnknown_IsLeftOut(t *testing.T) {
	for _, in := range withPropertiesTypes {
		accepts(t, V5, map[string]string{in.String(): withProperties(in)})
		known := map[byte]bool{}
		for _, p := range table24 {
			if known[p.id] = true; slices.Contains(strings.Fields(p.in), in.String()) {
				accepts(t, V5, map[string]string{p.name: withProperties(in, string(p.id)+p.value)})
				continue
			}
			if in == CONNACK {
				continue // see TestConnack_MistakeWithClearMeaning_IsAcceptedAndRecorded
			}
			// The properties after it are decoded.
			wire := withProperties(in, string(p.id)+p.value, "\x26\x00\x01k\x00\x01v")
			got := wantFaults(t, in, wire, 1<<p.id)
			if m, ok := got.(Publish); ok && in == PUBLISH && (m.Properties == nil || m.Properties.User != "\x26\x00\x01k\x00\x01v") {
				t.Errorf("%s in a PUBLISH: %+v", p.name, m.Properties)
			}
		}
		for id, value := range map[byte]string{0x17: "\x00", 0x18: "\x00\x00\x00\x00", 0x19: "\x00"} { // only clients send these
			if known[id] = true; in != CONNACK {
				wantFaults(t, in, withProperties(in, string(id)+value), 1<<id)
			}
		}
		for id := range 256 {
			if !known[byte(id)] {
				wantFaults(t, in, withProperties(in, string([]byte{byte(id), 0, 1, 'a', 0, 1, 'b'})), FaultProperties)
			}
		}
	}
}

// For each property, the specification says that it is a Protocol Error to include it
// twice.
func TestProperty_Twice_FirstCounts(t *testing.T) {
	for _, p := range table24 {
		for _, name := range strings.Fields(p.in) {
			in := Type(slices.Index(names[:], name))
			wire := withProperties(in, string(p.id)+p.value, string(p.id)+p.value)
			if p.twice || in == CONNACK {
				accepts(t, V5, map[string]string{p.name: wire})
				continue
			}
			wantFaults(t, in, wire, 1<<p.id)
		}
	}
	wire := withProperties(PUBLISH, "\x02\x00\x00\x00\x01", "\x02\x00\x00\x00\x09", "\x03\x00\x01\xff", "\x03\x00\x01t", "\x03\x00\x01u")
	got := decoded[Publish](t, V5, []byte(wire))
	same(t, got.Properties, &Properties{Expires: true, Expiry: 1, ContentType: "t"}) // the first valid one
	same(t, got.Faults, Faults(1<<2|1<<3))
}

func TestProperty_Truncated_IsLeftOut(t *testing.T) {
	for _, p := range table24 {
		in := Type(slices.Index(names[:], strings.Fields(p.in)[0]))
		for n := range len(p.value) {
			wantFaults(t, in, withProperties(in, string(p.id)+p.value[:n]), FaultProperties)
		}
	}
}

func TestProperty_OutOfRange_IsLeftOut(t *testing.T) {
	for _, p := range table24 {
		in := Type(slices.Index(names[:], strings.Fields(p.in)[0]))
		if in == CONNACK {
			continue // see TestConnack_MistakeWithClearMeaning_IsAcceptedAndRecorded
		}
		zero := withProperties(in, string(p.id)+strings.Repeat("\x00", len(p.value)))
		switch {
		case !p.zero: // sections 3.2.2.3.3, 3.2.2.3.6, 3.3.2.3.4, 3.3.2.3.8
			wantFaults(t, in, zero, 1<<p.id)
		case len(p.value) > 2: // a text has a length, so zeros would break the packet
		default:
			accepts(t, V5, map[string]string{p.name: zero})
		}
		if len(p.value) == 1 && p.zero { // sections 3.2.2.3.4, 3.2.2.3.5, 3.2.2.3.11 to 13, 3.3.2.3.2
			wantFaults(t, in, withProperties(in, string(p.id)+"\x02"), 1<<p.id)
		}
	}
}

// The message is kept, with all its other properties.
func TestPublish_InvalidProperty_IsDecodedWithoutIt(t *testing.T) {
	const user, expiry = "\x26\x00\x01k\x00\x01v", "\x02\x00\x00\x00\x05"
	for invalid, fault := range map[string]Faults{
		"\x01\x02":                                 1 << 1,
		"\x03\x00\x01\xff":                         1 << 3,
		"\x03\x00\x01\x00":                         1 << 3,
		"\x08\x00\x01#":                            1 << 8, // [MQTT-3.3.2-14]
		"\x08\x00\x03a/+":                          1 << 8,
		"\x08\x00\x01\x00":                         1 << 8,
		"\x08\x00\x01\xff":                         1 << 8,
		"\x26\x00\x01\x00\x00\x01v":                1 << 0x26, // [MQTT-1.5.7-1]
		"\x26\x00\x01k\x00\x01\x00":                1 << 0x26,
		"\x26\x00\x01k\x00\x02\xc3\x28":            1 << 0x26,
		"\x0b\x00":                                 1 << 0x0b,
		"\x23\x00\x00":                             1 << 0x23, // [MQTT-3.3.2-8]
		"\x11\x00\x00\x00\x01":                     1 << 0x11, // only in CONNACK
		"\x1f\x00\x01a":                            1 << 0x1f,
		"\x0b\x81\x00":                             0, // more bytes than necessary
		"\x09\x00\x02\x00\xff\x0b\xff\xff\xff\x7f": 0,
	} {
		got := decoded[Publish](t, V5, []byte(withProperties(PUBLISH, user, invalid, user, expiry)+""))
		want := Properties{User: user + user, Expires: true, Expiry: 5}
		if invalid[0] == 9 {
			want.CorrelationData = "\x00\xff"
		}
		if got.Faults != fault || got.Properties == nil || *got.Properties != want || got.Topic != "a" || got.Faults.Undeliverable() {
			t.Errorf("%q: %+v, faults: %s", invalid, got.Properties, got.Faults)
		}
	}
	// Nothing after an unknown property can be decoded.
	for _, unknown := range []string{"\x7f\x00", "\x00", "\xff", "\x03\xff\xff", "\x0b\xff\xff\xff\xff\x01"} {
		got := decoded[Publish](t, V5, []byte(withProperties(PUBLISH, user, unknown, expiry)))
		if got.Faults != FaultProperties || *got.Properties != (Properties{User: user}) || got.Faults.Label() != "properties" {
			t.Errorf("%q: %+v, faults: %s", unknown, got.Properties, got.Faults)
		}
	}
}

func TestPublish_PayloadIsNotUTF8_ClearsFormatIndicator(t *testing.T) {
	for payload, fault := range map[string]Faults{"ü\x00": 0, "": 0, "\xff": 1 << 1, "a\xed\xa0\x80": 1 << 1} {
		for _, q := range []Properties{{PayloadUTF8: true}, {PayloadUTF8: true, ContentType: "t"}} {
			p := Publish{Topic: "t", Payload: payload, Properties: &q}
			want := p
			if want.Faults = fault; fault != 0 {
				without := q
				if without.PayloadUTF8, want.Properties = false, &without; without == (Properties{}) {
					want.Properties = nil
				}
			}
			same(t, decoded[Publish](t, V5, AppendPublish(nil, V5, &p)), want)
		}
	}
}

func TestPublish_ManySubscriptionIdentifiers_AreLeftOut(t *testing.T) {
	for n, fault := range map[int]Faults{256: 0, 257: FaultSubscriptions, 100000: FaultSubscriptions} {
		got := decoded[Publish](t, V5, []byte(withProperties(PUBLISH, strings.Repeat("\x0b\x01", n))))
		if got.Faults != fault || (len(got.Subscriptions) == n) != (fault == 0) || cap(got.Subscriptions) > 1000 {
			t.Errorf("%d: %d are kept, faults: %s", n, len(got.Subscriptions), got.Faults)
		}
	}
}

func TestPublish_PropertiesWithDefaultValues_AreLeftOut(t *testing.T) {
	wire := withProperties(PUBLISH, "\x01\x00", "\x03\x00\x00", "\x08\x00\x00", "\x09\x00\x00", "\x23\x00\x07", "\x0b\x01", "\x0b\x80\x01")
	same(t, decoded[Publish](t, V5, []byte(wire)), Publish{Topic: "a", TopicAlias: 7, Subscriptions: []uint32{1, 128}})

	// An expiry of 0 and an empty User Property have a meaning.
	for property, want := range map[string]Properties{
		"\x02\x00\x00\x00\x00": {Expires: true},
		"\x26\x00\x00\x00\x00": {User: UserProperties("").With(UserProperty{})},
	} {
		same(t, decoded[Publish](t, V5, []byte(withProperties(PUBLISH, property))).Properties, &want)
	}
}
