// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/eclipse/paho.golang/packets"
)

// seeds are packets from servers. Their bodies are seeds for the decoders. Together they
// are a stream for Next.
var seeds = []string{
	"\x20\x02\x01\x00",
	"\x20\x03\x00\x87\x00",
	"\x20\x1a\x00\x00\x17\x11\x00\x00\x00\x3c\x21\x00\x14\x24\x01\x25\x00\x27\x00\x00\x10\x00\x22\x00\x0a\x13\x00\x1e",
	"\x20\x21\x00\x9d\x1e\x12\x00\x02id\x1f\x00\x03why\x26\x00\x01a\x00\x01b\x1c\x00\x05other\x15\x00\x01m",
	"\x31\x07\x00\x03a/bxy",
	"\x3c\x08\x00\x01a\x12\x34pay",
	"\x30\x04\x00\x01a\x00",
	"\x32\x29\x00\x01a\x00\x01\x22\x01\x01\x02\x00\x00\x00\x3c\x03\x00\x01t\x08\x00\x01r\x09\x00\x01\xff\x0b\x80\x01\x23\x00\x07\x26\x00\x01k\x00\x01v\x0b\x05\x0b",
	"\x40\x02\x00\x01",
	"\x50\x03\x00\x01\x10",
	"\x62\x08\x00\x01\x92\x04\x1f\x00\x01a",
	"\x70\x04\x00\x01\x92\x00",
	"\x90\x05\x00\x01\x00\x02\x80",
	"\x90\x0a\x00\x01\x04\x1f\x00\x01a\x01\x87\x02",
	"\xb0\x02\x00\x01",
	"\xb0\x05\x00\x01\x00\x00\x11",
	"\xd0\x00",
	"\xe0\x00",
	"\xe0\x0d\x9c\x0b\x1f\x00\x01a\x1c\x00\x04node",
	"\xf0\x00",
	"\x30\xff\xff\xff\x7f\x00",
	"\x30\xff\xff\xff\xff\xff",
}

func version(v5 bool) Version {
	if v5 {
		return V5
	}
	return V311
}

// addBodies adds the bodies of the seeds that have one of the given types.
func addBodies(f *testing.F, types types, add func(v5 bool, first byte, body []byte)) {
	f.Helper()
	for _, s := range seeds {
		if first := s[0]; types>>(first>>4)&1 != 0 {
			add(false, first, []byte(s[2:]))
			add(true, first, []byte(s[2:]))
		}
	}
}

// succeeded reports whether err is nil. It fails the test if err is not a MalformedError
// with a code and a text.
func succeeded(t *testing.T, err error) bool {
	t.Helper()
	var refused *MalformedError
	if err != nil && (!errors.As(err, &refused) || refused.Code < 0x80 || refused.Text == "" || !utf8.ValidString(refused.Text)) {
		t.Fatalf("an error without a code or a text: %#v", err)
	}
	return err == nil
}

func FuzzNext(f *testing.F) {
	for _, s := range append(seeds, strings.Join(seeds, "")) {
		f.Add([]byte(s), false, uint32(0))
		f.Add([]byte(s), true, uint32(1000))
	}
	f.Fuzz(func(t *testing.T, stream []byte, v5 bool, limit uint32) {
		v := version(v5)
		const maxPackets = 32 // limits the time for each input
		for range maxPackets {
			frame, n, err := Next(stream, v, limit)
			if !succeeded(t, err) {
				return
			}
			if n == 0 {
				if !bytes.Equal(frame.Body, nil) {
					t.Fatalf("a body of an incomplete packet: %x", frame.Body)
				}
				return
			}
			if n < 2 || n > len(stream) || limit > 0 && n > int(limit) || n-len(frame.Body) > 5 || byte(frame.Type)<<4|frame.Flags != stream[0] {
				t.Fatalf("%+v has the size %d in %x", frame, n, stream)
			}
			for cut := range min(n, 8) {
				if _, some, err := Next(stream[:cut], v, limit); some != 0 || err != nil {
					t.Fatalf("%d of %d bytes: %d, %v", cut, n, some, err)
				}
			}
			_, err = decodeFrame(v, frame)
			succeeded(t, err)
			stream = stream[n:]
		}
	})
}

func FuzzDecodePublish(f *testing.F) {
	addBodies(f, set(PUBLISH), func(v5 bool, first byte, body []byte) { f.Add(v5, first&0x0f, string(body)) })
	f.Fuzz(func(t *testing.T, v5 bool, flags byte, body string) {
		v := version(v5)
		flags &= 0x0f
		p, err := DecodePublish(v, flags, body)
		if !succeeded(t, err) {
			return
		}
		if (p.ID == 0) != (p.QoS == 0 || p.Faults&FaultNoID != 0) || (p.Faults == 0) != (p.Faults.String() == "") || (p.Faults == 0) != (p.Faults.Label() == "") {
			t.Fatalf("accepted %+v", p)
		}
		valid := p.Topic != "" && !strings.ContainsAny(p.Topic, "+#\x00") && utf8.ValidString(p.Topic)
		if p.Faults.Undeliverable() {
			if valid && p.Faults&FaultPropertyLength == 0 {
				t.Fatalf("refused %+v", p)
			}
			return
		}
		if !valid && p.TopicAlias == 0 || !strings.HasSuffix(body, p.Payload) {
			t.Fatalf("accepted %+v", p)
		}
		faults := p.Faults
		if p.Faults = 0; faults&FaultNoID != 0 {
			p.ID = 1
		}
		wire := AppendPublish(nil, v, &p)
		if len(wire) != SizePublish(v, &p) {
			t.Fatalf("the packet has %d bytes, but SizePublish returns %d", len(wire), SizePublish(v, &p))
		}
		p.Subscriptions = nil // clients do not send them
		frame, n, err := Next(wire, v, 0)
		if err != nil || n != len(wire) || faults&FaultDup == 0 && frame.Flags != flags {
			t.Fatalf("%x: %+v, %d, %v", wire, frame, n, err)
		}
		back, err := DecodePublish(v, frame.Flags, string(frame.Body))
		if err != nil {
			t.Fatal(err)
		}
		same(t, back, p) // Faults of p is 0 here
		if !v5 {
			if faults == 0 {
				same(t, string(frame.Body), body) // 3.1.1 has only one encoding
			}
			return
		}
		same(t, fromPaho(readPaho5[*packets.Publish](t, wire)), p)
	})
}

// The beginning of a packet that is too large has the same topic name and packet identifier
// as the whole packet.
func FuzzDecodeLargePublish(f *testing.F) {
	addBodies(f, set(PUBLISH), func(_ bool, first byte, body []byte) { f.Add(first&0x0f, string(body), uint16(len(body))) })
	f.Fuzz(func(t *testing.T, flags byte, body string, kept uint16) {
		flags &= 0x0f
		whole, err := DecodePublish(V311, flags, body)
		large, largeErr := DecodeLargePublish(flags, body[:min(len(body), int(kept))])
		if !succeeded(t, largeErr) {
			return
		}
		if err != nil || large.Topic != whole.Topic || large.ID != whole.ID || large.QoS != whole.QoS || large.Faults&FaultTooLarge == 0 || !large.Faults.Undeliverable() {
			t.Fatalf("%+v, %v; the whole one is %+v", large, err, whole)
		}
	})
}

func FuzzConnack(f *testing.F) {
	addBodies(f, set(CONNACK), func(v5 bool, _ byte, body []byte) { f.Add(v5, body) })
	f.Fuzz(func(t *testing.T, v5 bool, body []byte) {
		c, err := DecodeConnack(version(v5), body)
		if !succeeded(t, err) {
			return
		}
		if c.ReceiveMaximum == 0 || c.MaximumQoS > 2 || c.SessionPresent && c.Code != 0 {
			t.Fatalf("accepted %+v", c)
		}
		if !v5 {
			if len(c.Violations) == 0 {
				same(t, string(body), string([]byte{*bit(c.SessionPresent), c.Code}))
			}
			return
		}
		if len(c.Violations) > 0 || len(body) == 2 {
			return // paho refuses it, or reads beyond its end
		}
		wire := append(appendHeader(nil, CONNACK, 0, len(body)), body...)
		same(t, c, connackFromPaho(readPaho5[*packets.Connack](t, wire)))
	})
}

func FuzzAck(f *testing.F) {
	addBodies(f, set(PUBACK, PUBREC, PUBREL, PUBCOMP), func(v5 bool, first byte, body []byte) { f.Add(v5, first, body) })
	f.Fuzz(func(t *testing.T, v5 bool, first byte, body []byte) {
		v := version(v5)
		a, err := DecodeAck(v, Frame{Type: PUBACK + Type(first>>4)&3, Flags: first & 0x0f, Body: body})
		if !succeeded(t, err) {
			return
		}
		if (a.ID == 0) != (a.Faults&FaultNoID != 0) || strings.Contains(a.Reason, "\x00") || !utf8.ValidString(a.Reason) {
			t.Fatalf("accepted %+v", a)
		}
		if a.Faults = 0; a.ID > 0 {
			same(t, decoded[Ack](t, v, AppendAck(nil, v, a)), a)
		}
	})
}

func FuzzSuback(f *testing.F) {
	addBodies(f, set(SUBACK), func(v5 bool, _ byte, body []byte) { f.Add(v5, body) })
	f.Fuzz(func(t *testing.T, v5 bool, body []byte) {
		s, err := DecodeSuback(version(v5), Frame{Type: SUBACK, Body: body})
		if !succeeded(t, err) {
			return
		}
		if !bytes.HasSuffix(body, s.Codes) {
			t.Fatalf("accepted %+v", s)
		}
		for _, code := range s.Codes {
			if code > 2 && code < 0x80 && s.Faults&FaultCode == 0 {
				t.Fatalf("accepted %+v", s)
			}
		}
		if v5 && s.Faults == 0 && s.ID > 0 && len(s.Codes) > 0 {
			got := readPaho5[*packets.Suback](t, append(appendHeader(nil, SUBACK, 0, len(body)), body...))
			same(t, s, Suback{ID: got.PacketID, Codes: got.Reasons, Reason: got.Properties.ReasonString})
		}
	})
}

func FuzzDisconnect(f *testing.F) {
	addBodies(f, set(DISCONNECT), func(_ bool, _ byte, body []byte) { f.Add(body) })
	f.Fuzz(func(t *testing.T, body []byte) {
		d := DecodeDisconnect(body)
		if !utf8.ValidString(d.Reason + d.ServerReference) {
			t.Fatalf("accepted %+v", d)
		}
		d.ServerReference = "" // clients do not send it
		same(t, decoded[Disconnect](t, V5, AppendDisconnect(nil, V5, d)), d)
	})
}
