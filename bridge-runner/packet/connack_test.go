// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// usual returns a CONNACK without properties, with the given changes.
func usual(change func(*Connack)) Connack {
	c := Connack{
		ReceiveMaximum: math.MaxUint16, MaximumQoS: 2, RetainAvailable: true,
		WildcardAvailable: true, SubscriptionIDsAvailable: true, SharedAvailable: true,
	}
	change(&c)
	return c
}

// Each of these packets violates the specification, but its framing is intact and its
// meaning is clear.
func TestConnack_MistakeWithClearMeaning_IsAcceptedAndRecorded(t *testing.T) {
	for _, c := range []struct {
		v    Version
		wire string
		want func(*Connack)
		note string // the first mistake
	}{
		{V311, "\x20\x02\x02\x00", func(*Connack) {}, "the reserved flags 00000010; ignored"},
		{V311, "\x20\x02\x81\x00", func(c *Connack) { c.SessionPresent = true }, "the reserved flags 10000000; ignored"},
		{V311, "\x20\x02\x01\x05", func(c *Connack) { c.Code = 5 }, "Session Present in a refusal; ignored"},
		{V311, "\x20\x02\x00\x06", func(c *Connack) { c.Code = 6 }, ""},
		{V311, "\x20\x02\x00\x87", func(c *Connack) { c.Code = 0x87 }, ""},
		{V5, "\x20\x02\x00\x87", func(c *Connack) { c.Code = 0x87 }, ""},     // no property length
		{V5, "\x20\x03\x00\x05\x00", func(c *Connack) { c.Code = 5 }, ""},    // a code of 3.1.1
		{V5, "\x20\x03\x00\x63\x00", func(c *Connack) { c.Code = 0x63 }, ""}, // in neither version
		{V5, "\x20\x03\x01\x87\x00", func(c *Connack) { c.Code = 0x87 }, "Session Present in a refusal; ignored"},
		{V5, "\x20\x03\x80\x00\x00", func(*Connack) {}, "the reserved flags 10000000; ignored"},
		{V5, "\x20\x05\x00\x00\x00ab", func(*Connack) {}, "2 bytes after its end; ignored"},
		{V5, withProperties(CONNACK, "\x24\x02"), func(*Connack) {}, "a Maximum QoS of 2; treated as no limit"},
		{V5, withProperties(CONNACK, "\x24\xff"), func(*Connack) {}, "a Maximum QoS of 255; treated as no limit"},
		{V5, withProperties(CONNACK, "\x24\x01\x24\x00\x24\x01"), func(c *Connack) { c.MaximumQoS = 0 }, "more than one Maximum QoS; the lower or the first is used"},
		{V5, withProperties(CONNACK, "\x21\x00\x00"), func(c *Connack) { c.ReceiveMaximum = 1 }, "a Receive Maximum of 0; treated as 1, so one message at a time is sent"},
		{V5, withProperties(CONNACK, "\x21\x00\x07\x21\x00\x05"), func(c *Connack) { c.ReceiveMaximum = 5 }, "more than one Receive Maximum; the lower or the first is used"},
		{V5, withProperties(CONNACK, "\x27\x00\x00\x00\x00"), func(*Connack) {}, "a Maximum Packet Size of 0; treated as no limit"},
		{V5, withProperties(CONNACK, "\x27\x00\x00\x01\x00\x27\x00\x00\x02\x00"), func(c *Connack) { c.MaximumPacketSize = 256 }, "more than one Maximum Packet Size; the lower or the first is used"},
		{V5, withProperties(CONNACK, "\x22\x00\x00\x22\x00\x09"), func(*Connack) {}, "more than one Topic Alias Maximum; the lower or the first is used"},
		{V5, withProperties(CONNACK, "\x25\x02"), func(*Connack) {}, "a Retain Available of 2; treated as 1"},
		{V5, withProperties(CONNACK, "\x25\x00\x25\x01"), func(c *Connack) { c.RetainAvailable = false }, "more than one Retain Available; the lower or the first is used"},
		{V5, withProperties(CONNACK, "\x1f\x00\x01a\x1f\x00\x01b"), func(c *Connack) { c.Reason = "a" }, "more than one Reason String; the lower or the first is used"},
		{V5, withProperties(CONNACK, "\x1f\x00\x03\xff\x00b"), func(c *Connack) { c.Reason = "\uFFFD\uFFFDb" }, "a Reason String that is not valid UTF-8 or contains NUL; replaced"},
		{V5, withProperties(CONNACK, "\x26\x00\x01\xff\x00\x00\x24\x01"), func(c *Connack) { c.MaximumQoS = 1 }, "a User Property that is not valid UTF-8 or contains NUL; replaced"},
		// Properties of other packets. Their length is known.
		{V5, withProperties(CONNACK, "\x0b\x81\x01\x24\x01"), func(c *Connack) { c.MaximumQoS = 1 }, "the property 0x0b, which belongs to other packets; ignored"},
		{V5, withProperties(CONNACK, "\x17\x01\x24\x01"), func(c *Connack) { c.MaximumQoS = 1 }, "the property 0x17, which belongs to other packets; ignored"},
		{V5, withProperties(CONNACK, "\x18\x00\x00\x00\x01\x24\x01"), func(c *Connack) { c.MaximumQoS = 1 }, "the property 0x18, which belongs to other packets; ignored"},
		{V5, withProperties(CONNACK, "\x08\x00\x01#\x24\x01"), func(c *Connack) { c.MaximumQoS = 1 }, "the property 0x08, which belongs to other packets; ignored"},
	} {
		t.Run(fmt.Sprintf("version=%d, %q", c.v, c.wire), func(t *testing.T) {
			got := decoded[Connack](t, c.v, []byte(c.wire))
			if first := strings.Join(got.Violations[:min(len(got.Violations), 1)], ""); first != c.note {
				t.Errorf("the first mistake is %q, want %q", first, c.note)
			}
			got.Violations = nil
			same(t, got, usual(c.want))
		})
	}
}

func TestConnack_ManyMistakes_RecordsOnlySome(t *testing.T) {
	got := decoded[Connack](t, V5, []byte(withProperties(CONNACK, strings.Repeat("\x24\x02", 1000))))
	if len(got.Violations) > maxMistakes {
		t.Errorf("%d mistakes are recorded", len(got.Violations))
	}
}

// A code below 0x80 without properties is a code of 3.1.1. The code 0 accepts a session of
// 3.1.1.
func TestConnack_FormatOf311ForClientOf5_SuggestsOtherVersion(t *testing.T) {
	for _, code := range []string{"\x00", "\x01", "\x05"} {
		refuses(t, V5, []malformedPacket{{
			"3.2.2, as of 3.1.1", "\x20\x02\x00" + code, 0x84,
			fmt.Sprintf("a CONNACK of 2 bytes with code %d, in the format of MQTT 3.1.1; the server may support only that version", code[0]),
		}})
	}
}
