// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestFaults_CutAtEveryByte_LosesNothingAndRepeatsNoQoS2(t *testing.T) {
	t.Parallel()
	// Each group has its own line, so that the groups run in parallel.
	groups := []struct {
		name                   string
		fromBridge, fromServer []byte
	}{
		{"messages", []byte{packets.Publish}, []byte{packets.Publish}},
		{"acknowledgements", acknowledgements, acknowledgements},
		{"beginnings", []byte{packets.Connect, packets.Subscribe}, []byte{packets.Connack, packets.Suback}},
	}
	for _, side := range []string{"local", "remote"} {
		for _, fromServer := range []bool{false, true} {
			for _, group := range groups {
				types, sender := group.fromBridge, "bridge"
				if fromServer {
					types, sender = group.fromServer, "server"
				}
				t.Run(fmt.Sprintf("%s side, %s from the %s", side, group.name, sender), func(t *testing.T) {
					t.Parallel()
					l := newLine(t, "primary")
					b := boundaries{line: l, side: side, server: l.local, fromServer: fromServer, random: random(t.Name())}
					if side == "remote" {
						b.server = l.remotes[0]
					}
					began := time.Now()
					for _, packet := range types {
						b.sweep(packet)
					}
					t.Logf("%d cuts in %s", b.cuts, time.Since(began).Round(time.Second))
					l.finish()
				})
			}
		}
	}
}

var acknowledgements = []byte{packets.Puback, packets.Pubrec, packets.Pubrel, packets.Pubcomp}

// random returns a separate source for each test, so that the values do not depend on which tests
// run.
func random(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return rand.New(rand.NewPCG(*seed, h.Sum64()))
}

// boundaries cuts the connection to one server at packets of one direction.
type boundaries struct {
	*line
	side       string
	server     *server
	fromServer bool
	random     *rand.Rand
	cuts       int
}

// sweep cuts before the first byte of a packet, then after each of its bytes up to the last.
func (b *boundaries) sweep(packet byte) {
	b.Helper()
	for n, length := 0, 0; n <= length; n++ {
		length = b.cutAt(packet, n)
	}
}

// cutAt cuts once, checks that the line continues to forward, and returns the length of the packet
// at which it cut.
func (b *boundaries) cutAt(packet byte, n int) (length int) {
	b.Helper()
	cut := mqtttest.Cut{Type: packet, FromServer: b.fromServer, Nth: 1, Bytes: n, Reset: b.random.IntN(2) == 0}
	beginning := false
	switch packet {
	case packets.Connect, packets.Connack, packets.Subscribe, packets.Suback:
		beginning = true
	default:
		cut.Nth += b.random.IntN(4)
	}
	name := fmt.Sprintf("%s side: %s", b.side, cut)
	var hit <-chan mqtttest.Hit
	switch {
	case !beginning:
		hit = b.server.cutter.Arm(cut)
	case packet == packets.Subscribe || packet == packets.Suback:
		// These packets are sent only in a session that the runner does not know.
		if code, _ := b.runner.Terminate(); code != 0 {
			b.fatalf("the runner ended with %d before %s", code, name)
		}
		hit = b.server.cutter.Arm(cut)
		b.runner.Start()
	default:
		hit = b.server.cutter.Arm(cut)
		now := time.Now()
		b.server.cutter.CutNow()
		b.history.add(fault{name: b.side + " side: RST at any byte, to force a new connection", from: now, to: time.Now(), doubles: [2]byte{1, 1}})
	}
	select {
	case h := <-hit:
		b.cuts++
		b.history.add(fault{name: name, from: h.At, to: h.At, doubles: [2]byte{1, 1}})
		b.flow(1, b.streams...)
		b.check(b.streams...)
		return h.Length
	case <-time.After(eventTimeout):
		b.fatalf("the packet was not sent within %s: %s", eventTimeout, name)
		return 0
	}
}

// finish ends the streams and checks them completely.
func (l *line) finish() {
	l.Helper()
	for _, s := range l.streams {
		must(l.T, s.publisher.StopAndDrain(drainTimeout))
	}
	l.check(l.streams...)
	l.report()
}
