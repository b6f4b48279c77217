// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
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
		w := wire{Conn: &pieces{random: random, stream: stream}, limit: limit}
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
				if n := len(w.buf); n > max(limit, 2*readBuffer+2) {
					t.Fatalf("seed %d: a buffer of %d bytes, the limit is %d", seed, n, limit)
				}
				continue
			}
			var p packet.Publish
			if f.Large {
				p, err = packet.DecodeLargePublish(f.Flags, w.bodyString(f))
			} else {
				p, err = packet.DecodePublish(packet.V311, f.Flags, w.bodyString(f))
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
