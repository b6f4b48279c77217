// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

func TestNext_IncompletePacket_WaitsForTheWhole(t *testing.T) {
	for _, v := range versions {
		for _, payload := range []int{0, 100, 130, 17000} {
			p := Publish{Topic: "a", Payload: strings.Repeat("x", payload), QoS: 1, ID: 1}
			wire := AppendPublish(nil, v.version, &p)
			step := 1 + len(wire)/200
			for n := 0; n < len(wire); n += step {
				if _, size, err := Next(wire[:n], v.version, 0); size != 0 || err != nil {
					t.Fatalf("%s: %d of %d bytes: size %d, %v", v.name, n, len(wire), size, err)
				}
			}
			f, size, err := Next(append(wire, "\xd0"...), v.version, 0)
			if err != nil || size != len(wire) || cap(f.Body) != len(f.Body) {
				t.Fatalf("%s: a size of %d in %d bytes, a body of %d bytes with capacity %d, %v", v.name, size, len(wire), len(f.Body), cap(f.Body), err)
			}
			same(t, decoded[Publish](t, v.version, wire), p)
		}
	}
}

func TestHeader_RemainingLength_FollowsSection223(t *testing.T) {
	for _, c := range []struct {
		wire            string
		size, remaining int
	}{
		{"", 0, 0},
		{"\x30", 0, 0},
		{"\x30\x80", 0, 0},
		{"\x30\xff\xff\xff", 0, 0},
		{"\x30\x00", 2, 0},
		{"\x30\x7f", 2, 127},
		{"\x30\x80\x01", 3, 128},
		{"\x30\xff\x7f", 3, 16383},
		{"\x30\x80\x80\x01", 4, 16384},
		{"\x30\xff\xff\x7f", 4, 2097151},
		{"\x30\x80\x80\x80\x01", 5, 2097152},
		{"\x30\xff\xff\xff\x7f", 5, MaxSize - 5},
	} {
		kind, _, size, remaining, err := Header([]byte(c.wire))
		if err != nil || size != c.size || remaining != c.remaining || size > 0 && kind != PUBLISH {
			t.Errorf("%q: %s of %d and %d bytes, %v; want %d and %d", c.wire, kind, size, remaining, err, c.size, c.remaining)
		}
		if c.size > 0 {
			same(t, string(appendHeader(nil, PUBLISH, 0, c.remaining)), c.wire)
		}
	}
	if _, _, _, _, err := Header([]byte("\x30\x80\x80\x80\x80")); err == nil {
		t.Error("a remaining length of more than four bytes is accepted")
	}
}

// [MQTT-3.1.2-27] of MQTT 5.
func TestNext_PacketOverLimit_IsRefusedAtItsHeader(t *testing.T) {
	wire := []byte("\x30\xff\xff\xff\x7f")
	_, _, err := Next(wire, V5, MaxSize-1)
	var refused *MalformedError
	if !errors.As(err, &refused) || refused.Code != CodePacketTooLarge ||
		refused.Error() != "the server sent a PUBLISH of 268435460 bytes, but at most 268435459 are accepted" {
		t.Errorf("got %v", err)
	}
	for _, limit := range []uint32{0, MaxSize, 1<<32 - 1} {
		if _, n, err := Next(wire, V5, limit); n != 0 || err != nil {
			t.Errorf("limit %d: %d, %v", limit, n, err)
		}
	}
}

func TestDecode_LargeAnnouncedLength_AllocatesLittle(t *testing.T) {
	const limit = 2000 // bytes, for the error and its text
	for _, wire := range []string{
		"\x30\xff\xff\xff\x7f\x00\x01a",         // a packet of 256 MiB
		"\x30\x03\xff\xffa",                     // a topic name of 64 KiB
		"\x30\x07\x00\x01a\xff\xff\xff\x7f",     // properties of 256 MiB
		"\x30\x07\x00\x01a\x03\x03\xff\xff",     // a Content Type of 64 KiB
		"\x90\x08\x00\x01\x04\x1f\xff\xffa\x00", // a Reason String of 64 KiB
	} {
		const runs = 100
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			_, _ = decode(V5, wire)
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / runs; n > limit {
			t.Errorf("%q: %d bytes", wire, n)
		}
	}
}

func TestPackets_DecodeAndEncode_DoNotAllocate(t *testing.T) {
	payload := strings.Repeat("x", 128)
	whole := []byte("\x30\x03\x00\x01a")
	body311, body5 := "\x00\x01a\x00\x01"+payload, "\x00\x01a\x00\x01\x00"+payload
	for name, f := range map[string]func(){
		"Next":                              func() { _, _, _ = Next(whole, V311, 0) },
		"DecodePublish of 128 bytes, 3.1.1": func() { _, _ = DecodePublish(V311, 2, body311) },
		"DecodePublish of 128 bytes, 5":     func() { _, _ = DecodePublish(V5, 2, body5) },
		"DecodePublish with an alias":       func() { _, _ = DecodePublish(V5, 2, "\x00\x01a\x00\x01\x03\x23\x00\x01") },
		"DecodePublish with faults":         func() { _, _ = DecodePublish(V5, 2, "\x00\x01#\x00\x00\x06\x01\x02\x03\x00\x01\xff") },
		"DecodeAck, 3.1.1":                  func() { _, _ = DecodeAck(V311, Frame{Type: PUBACK, Body: []byte("\x00\x01")}) },
		"DecodeAck, 5":                      func() { _, _ = DecodeAck(V5, Frame{Type: PUBACK, Body: []byte("\x00\x01")}) },
		"DecodeAck, 5, a code":              func() { _, _ = DecodeAck(V5, Frame{Type: PUBACK, Body: []byte("\x00\x01\x10")}) },
		"DecodeAck, 5, with properties":     func() { _, _ = DecodeAck(V5, Frame{Type: PUBREC, Body: []byte("\x00\x01\x10\x00")}) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	buf := make([]byte, 0, 4096)
	message := Publish{Topic: "a/b", Payload: payload, QoS: 1, ID: 1, Properties: &Properties{
		ContentType: "text/plain", Expires: true, User: UserProperties("").With(UserProperty{"a", "b"}),
	}}
	connect := Connect{Version: V5, ClientID: "a", Username: "b", Password: "c", Will: &Will{Topic: "d"}, SessionExpiry: 1}
	subscribe := Subscribe{ID: 1, SubscriptionID: 1, Subscriptions: []Subscription{{Filter: "a/#"}}}
	filters := []string{"a/#"}
	for _, v := range versions {
		for name, f := range map[string]func(){
			"AppendPublish":     func() { buf = AppendPublish(buf[:0], v.version, &message) },
			"SizePublish":       func() { _ = SizePublish(v.version, &message) },
			"AppendAck":         func() { buf = AppendAck(buf[:0], v.version, Ack{Type: PUBREL, ID: 1, Code: 0x92, Reason: "a"}) },
			"AppendConnect":     func() { buf = AppendConnect(buf[:0], &connect) },
			"AppendSubscribe":   func() { buf = AppendSubscribe(buf[:0], v.version, &subscribe) },
			"AppendUnsubscribe": func() { buf = AppendUnsubscribe(buf[:0], v.version, 1, filters) },
			"AppendDisconnect":  func() { buf = AppendDisconnect(buf[:0], v.version, Disconnect{Code: 0x82, Reason: "a"}) },
			"AppendPing":        func() { buf = AppendPing(buf[:0]) },
		} {
			if n := testing.AllocsPerRun(100, f); n != 0 {
				t.Errorf("%s of %s allocates %v times", name, v.name, n)
			}
		}
	}
}

func TestDecode_BufferReused_PacketIsUnchanged(t *testing.T) {
	for _, wire := range []string{
		"\x90\x08\x00\x01\x04\x1f\x00\x01a\x02",
		"\x40\x08\x00\x01\x10\x04\x1f\x00\x01a",
		"\x20\x07\x00\x00\x04\x1f\x00\x01a",
		"\xe0\x06\x80\x04\x1f\x00\x01a",
	} {
		buf := []byte(wire)
		f, _, err := Next(buf, V5, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeFrame(V5, f)
		if err != nil {
			t.Fatal(err)
		}
		before := fmt.Sprintf("%+v", got)
		clear(buf)
		same(t, fmt.Sprintf("%+v", got), before)
	}
}

// Sections 3.4.2.1 and 3.14.2.1 of MQTT 5. Paho is not compared here, because it requires a
// reason code in a DISCONNECT.
func TestAppend_OptionalParts_AreLeftOut(t *testing.T) {
	for want, got := range map[string][]byte{
		"\x40\x02\x00\x01":                      AppendAck(nil, V5, Ack{Type: PUBACK, ID: 1}),
		"\x62\x03\x00\x01\x92":                  AppendAck(nil, V5, Ack{Type: PUBREL, ID: 1, Code: 0x92}),
		"\x40\x08\x00\x01\x00\x04\x1f\x00\x01a": AppendAck(nil, V5, Ack{Type: PUBACK, ID: 1, Reason: "a"}),
		"\xe0\x00":                              AppendDisconnect(nil, V5, Disconnect{}),
		"\xe0\x01\x04":                          AppendDisconnect(nil, V5, Disconnect{Code: 4}),
		"\xe0\x07\x00\x05\x11\x00\x00\x00\x00":  AppendDisconnect(nil, V5, Disconnect{HasSessionExpiry: true, ServerReference: "a"}),
		"\x30\x03\x00\x01a":                     AppendPublish(nil, V311, &Publish{Topic: "a", Dup: true}), // [MQTT-3.3.1-2]
		"\xc0\x00":                              AppendPing(nil),
	} {
		same(t, string(got), want)
	}
}

func TestAppendPublish_TopicTooLong_IsTruncated(t *testing.T) {
	long := strings.Repeat("x", 1<<16)
	for _, v := range versions {
		p := Publish{Topic: long, Payload: "y", QoS: 1, ID: 7}
		got := decoded[Publish](t, v.version, AppendPublish(nil, v.version, &p))
		if len(got.Topic) != 1<<16-1 || got.Payload != "y" || got.ID != 7 {
			t.Errorf("%s: a topic of %d bytes, then %q", v.name, len(got.Topic), got.Payload)
		}
	}
}

func TestType_String_IsNameInSpecification(t *testing.T) {
	same(t, fmt.Sprint(CONNECT, PINGRESP, AUTH, Type(0), Type(16)), "CONNECT PINGRESP AUTH packet of type 0 packet of type 16")
}
