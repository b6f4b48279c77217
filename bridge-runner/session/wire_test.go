// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// pieces is a connection that returns a stream in pieces of random sizes.
type pieces struct {
	net.Conn
	random *rand.Rand
	stream []byte
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.stream) == 0 {
		return 0, io.EOF
	}
	most := 1 + p.random.IntN(1<<p.random.IntN(20))
	n := copy(b[:min(len(b), most)], p.stream)
	p.stream = p.stream[n:]
	return n, nil
}

// If a stream of packets is cut into pieces in any way, each packet up to the limit arrives
// unchanged and stays unchanged; of each message over the limit the beginning arrives.
func TestWire_PacketsInPieces_CompleteUpToLimit(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 0))
		limit := 1000 + random.IntN(1<<random.IntN(21))
		var (
			stream []byte
			sent   []packet.Publish
		)
		for range 1 + random.IntN(60) {
			payload := make([]byte, random.IntN(1<<random.IntN(21)))
			for i := range min(len(payload), 2000) {
				payload[i] = byte(random.Uint32())
			}
			p := packet.Publish{Topic: strings.Repeat("t", 1+random.IntN(1<<random.IntN(17))), Payload: string(payload), QoS: 1, ID: uint16(1 + len(sent))}
			p.Topic = p.Topic[:min(len(p.Topic), 65535)]
			stream, sent = packet.AppendPublish(stream, packet.V311, &p), append(sent, p)
		}
		w := wire{Conn: &transport.Conn{Conn: &pieces{random: random, stream: stream}}, limit: limit, ownBodies: seed%3 > 0}
		var got []packet.Publish
		for {
			f, ok, err := w.next(packet.V311)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if !ok {
				if w.fill() != nil {
					break
				}
				if n := len(w.buf); n > max(limit, min(2*limit, maxSpareReadBuffer), 2*readBuffer) {
					t.Fatalf("seed %d: a buffer of %d bytes, the limit is %d", seed, n, limit)
				}
				continue
			}
			var p packet.Publish
			if f.Large {
				text, _ := w.bodyString(f)
				p, err = packet.DecodeLargePublish(f.Flags, text)
			} else {
				text, own := w.bodyString(f)
				p, err = packet.DecodePublish(packet.V311, f.Flags, text)
				if own != nil {
					p.CopyHead()
					p.Payload = strings.Clone(p.Payload)
					own.release() // the next packets must not change this one
				}
			}
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			got = append(got, p)
		}
		if len(got) != len(sent) {
			t.Fatalf("seed %d: %d of %d packets arrived", seed, len(got), len(sent))
		}
		for i := range got {
			large := packet.SizePublish(packet.V311, &sent[i]) > limit
			if got[i].Topic != sent[i].Topic || got[i].ID != sent[i].ID || got[i].Faults != 0 != large ||
				!large && got[i].Payload != sent[i].Payload || !strings.HasPrefix(sent[i].Payload, got[i].Payload) {
				t.Fatalf("seed %d: packet %d, of %d bytes with the limit %d, arrived with %d bytes of payload, faults: %s", seed, i,
					packet.SizePublish(packet.V311, &sent[i]), limit, len(got[i].Payload), got[i].Faults)
			}
		}
	}
}

func TestWire_LittleOrMuchData_SizesItsBuffer(t *testing.T) {
	pong := packet.AppendPing(nil)
	for name, tc := range map[string]struct {
		packets, want int
	}{
		"an idle connection": {100, firstReadBuffer},
		"a full buffer":      {firstReadBuffer, readBufferGrowth * firstReadBuffer},
		"much data":          {8 * readBuffer, readBuffer},
	} {
		t.Run(name, func(t *testing.T) {
			stream := bytes.Repeat(pong, tc.packets)
			w := wire{Conn: &transport.Conn{Conn: &pieces{random: rand.New(rand.NewPCG(1, 0)), stream: stream}}}
			for read := 0; read < tc.packets; {
				_, ok, err := w.next(packet.V311)
				if err != nil {
					t.Fatal(err)
				}
				if ok {
					read++
				} else if err := w.fill(); err != nil {
					t.Fatal(err)
				}
			}
			if len(w.buf) != tc.want {
				t.Errorf("a buffer of %d bytes, want %d", len(w.buf), tc.want)
			}
		})
	}
}

// repeated is a connection from which one packet comes again and again.
type repeated struct {
	net.Conn
	packet []byte
	at     int
}

func (r *repeated) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		c := copy(b[n:], r.packet[r.at:])
		n += c
		r.at = (r.at + c) % len(r.packet)
	}
	return n, nil
}

// A message allocates memory for its content at most once. If it has a buffer of its own, which
// is released, it allocates none. The read buffer is used again, unless the message is so large
// that the buffer is given to it.
func TestWire_ManyLargeMessages_AllocateLittleMoreThanTheirContent(t *testing.T) {
	for size, most := range map[int]float64{1 << 10: 1.3, 20 << 10: 0.1, 64 << 10: 0.1, 100 << 10: 0.1, 255 << 10: 0.1, 500 << 10: 1.2, 900 << 10: 1.2, 5 << 20: 2.1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			if smallestBody < minBody { // with the race detector, the pools drop some buffers
				most = max(most, 1.2)
			}
			p := packet.Publish{Topic: "t", Payload: strings.Repeat("x", size)}
			w := wire{Conn: &transport.Conn{Conn: &repeated{packet: packet.AppendPublish(nil, packet.V311, &p)}}, limit: 32 << 20, ownBodies: true}
			receive := func(n int) {
				for n > 0 {
					f, ok, err := w.next(packet.V311)
					if err != nil {
						t.Fatal(err)
					}
					if !ok {
						if err := w.fill(); err != nil {
							t.Fatal(err)
						}
						continue
					}
					text, own := w.bodyString(f)
					if got, err := packet.DecodePublish(packet.V311, f.Flags, text); err != nil || len(got.Payload) != size {
						t.Fatalf("%d bytes of payload came: %v", len(got.Payload), err)
					}
					if own != nil {
						own.release()
					}
					n--
				}
			}
			const messages = 100
			receive(messages) // until the buffer has its size
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			receive(messages)
			runtime.ReadMemStats(&after)
			if times := float64(after.TotalAlloc-before.TotalAlloc) / messages / float64(size); times > most {
				t.Errorf("%.2f times the content was allocated, at most %.1f should be", times, most)
			}
		})
	}
}
