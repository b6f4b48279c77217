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

// seeds are packets of servers: bodies of all kinds for the decoders, and together a
// stream for Next.
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

// addBodies adds the bodies of some packet types.
func addBodies(f *testing.F, types types, add func(v5 bool, first byte, body []byte)) {
	f.Helper()
	for _, s := range seeds {
		if first := s[0]; types>>(first>>4)&1 != 0 {
			add(false, first, []byte(s[2:]))
			add(true, first, []byte(s[2:]))
		}
	}
}

// refusedOr fails where an error is not one that says what is wrong, and reports
// whether there was none.
func refusedOr(t *testing.T, err error) bool {
	t.Helper()
	var refused *MalformedError
	if err != nil && (!errors.As(err, &refused) || refused.Code < 0x80 || refused.Text == "" || !utf8.ValidString(refused.Text)) {
		t.Fatalf("an error that says nothing: %#v", err)
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
		const most = 32 // packets, or each input takes long
		for range most {
			frame, n, err := Next(stream, v, limit)
			if !refusedOr(t, err) {
				return
			}
			if n == 0 {
				if !bytes.Equal(frame.Body, nil) {
					t.Fatalf("a body of a packet that has not come: %x", frame.Body)
				}
				return
			}
			if n < 2 || n > len(stream) || limit > 0 && n > int(limit) || n-len(frame.Body) > 5 || byte(frame.Type)<<4|frame.Flags != stream[0] {
				t.Fatalf("%+v took %d of %x", frame, n, stream)
			}
			for cut := range min(n, 8) {
				if _, some, err := Next(stream[:cut], v, limit); some != 0 || err != nil {
					t.Fatalf("%d of %d bytes: %d, %v", cut, n, some, err)
				}
			}
			_, err = decodeFrame(v, frame)
			refusedOr(t, err)
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
		if !refusedOr(t, err) {
			return
		}
		if strings.ContainsAny(p.Topic, "+#\x00") || !utf8.ValidString(p.Topic) || (p.QoS > 0) != (p.ID > 0) ||
			p.Topic == "" && p.TopicAlias == 0 || !strings.HasSuffix(body, p.Payload) {
			t.Fatalf("took %+v", p)
		}
		wire := AppendPublish(nil, v, &p)
		if len(wire) != SizePublish(v, &p) {
			t.Fatalf("%d bytes are announced as %d", len(wire), SizePublish(v, &p))
		}
		p.Subscriptions = nil // clients do not send them
		frame, n, err := Next(wire, v, 0)
		if err != nil || n != len(wire) || frame.Flags != flags {
			t.Fatalf("%x: %+v, %d, %v", wire, frame, n, err)
		}
		back, err := DecodePublish(v, frame.Flags, string(frame.Body))
		if err != nil {
			t.Fatal(err)
		}
		same(t, back, p)
		if !v5 {
			same(t, string(frame.Body), body) // there is one way to say it
			return
		}
		same(t, fromPaho(readPaho5[*packets.Publish](t, wire)), p)
	})
}

func FuzzConnack(f *testing.F) {
	addBodies(f, set(CONNACK), func(v5 bool, _ byte, body []byte) { f.Add(v5, body) })
	f.Fuzz(func(t *testing.T, v5 bool, body []byte) {
		c, err := DecodeConnack(version(v5), body)
		if !refusedOr(t, err) {
			return
		}
		if c.ReceiveMaximum == 0 || c.MaximumQoS > 2 || c.SessionPresent && c.Code != 0 {
			t.Fatalf("took %+v", c)
		}
		if !v5 {
			if len(c.Mistakes) == 0 {
				same(t, string(body), string([]byte{*bit(c.SessionPresent), c.Code}))
			}
			return
		}
		if len(c.Mistakes) > 0 || len(body) == 2 {
			return // paho refuses it, or reads what is not there
		}
		wire := append(appendHeader(nil, CONNACK, 0, len(body)), body...)
		same(t, c, connackFromPaho(readPaho5[*packets.Connack](t, wire)))
	})
}

func FuzzAck(f *testing.F) {
	addBodies(f, set(PUBACK, PUBREC, PUBREL, PUBCOMP), func(v5 bool, first byte, body []byte) { f.Add(v5, first, body) })
	f.Fuzz(func(t *testing.T, v5 bool, first byte, body []byte) {
		v := version(v5)
		a, err := DecodeAck(v, Frame{Type: PUBACK + Type(first>>4)&3, Body: body})
		if !refusedOr(t, err) {
			return
		}
		same(t, decoded[Ack](t, v, AppendAck(nil, v, a)), a)
	})
}

func FuzzSuback(f *testing.F) {
	addBodies(f, set(SUBACK, UNSUBACK), func(v5 bool, first byte, body []byte) { f.Add(v5, first>>4 == byte(SUBACK), body) })
	f.Fuzz(func(t *testing.T, v5, suback bool, body []byte) {
		frame := Frame{Type: UNSUBACK, Body: body}
		if suback {
			frame.Type = SUBACK
		}
		s, err := DecodeSuback(version(v5), frame)
		if !refusedOr(t, err) {
			return
		}
		if s.ID == 0 || !bytes.HasSuffix(body, s.Codes) || (v5 || suback) != (len(s.Codes) > 0) {
			t.Fatalf("took %+v", s)
		}
		if v5 && suback {
			got := readPaho5[*packets.Suback](t, append(appendHeader(nil, SUBACK, 0, len(body)), body...))
			same(t, s, Suback{ID: got.PacketID, Codes: got.Reasons, Reason: got.Properties.ReasonString})
		}
	})
}

func FuzzDisconnect(f *testing.F) {
	addBodies(f, set(DISCONNECT), func(_ bool, _ byte, body []byte) { f.Add(body) })
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := DecodeDisconnect(body)
		if !refusedOr(t, err) {
			return
		}
		d.ServerReference = "" // clients do not send it
		same(t, decoded[Disconnect](t, V5, AppendDisconnect(nil, V5, d)), d)
	})
}
