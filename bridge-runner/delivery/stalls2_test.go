// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"strings"
	"sync"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// The server handles a QoS 2 message at its PUBREL.
func TestIsolation_ServerEndsTheSessionAtPubrel_TheOthersArrive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.source.connect(false, nil)
	w.send(4, 1, 2)
	w.source.sync()
	held := map[uint16]string{}
	var mu sync.Mutex
	var took []string
	sessions := 0
	stop := false
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			mu.Lock()
			if stop {
				mu.Unlock()
				return
			}
			sessions++
			n := sessions
			mu.Unlock()
			w.destination.connect(n > 1, nil)
			w.pipe.Up(w.destination.s)
			for {
				p, err := w.destination.TryNext()
				if err != nil {
					break
				}
				if p.Type == v5.PINGREQ {
					reply(w.destination.Conn, script.Packet{Type: v5.PINGRESP})
				}
				if p.Type == v5.PUBLISH {
					held[p.ID] = p.Topic + "=" + p.Payload
					reply(w.destination.Conn, script.Ack(v5.PUBREC, p.ID, 0))
				}
				if p.Type == v5.PUBREL {
					if strings.HasPrefix(held[p.ID], "poison") {
						break
					}
					mu.Lock()
					if held[p.ID] != "" {
						took = append(took, held[p.ID])
					}
					mu.Unlock()
					delete(held, p.ID)
					reply(w.destination.Conn, script.Ack(v5.PUBCOMP, p.ID, 0))
				}
			}
			w.destination.down()
		}
	}()
	time.Sleep(3 * time.Second)
	w.source.Send(script.Publish(9, 2, "t", "behind"))
	time.Sleep(6 * time.Second)
	mu.Lock()
	stop = true
	t.Logf("sessions %d took %v given up %v", sessions, took, w.meter.givenUp)
	if len(took) < 4 {
		t.Error("stall")
	}
	mu.Unlock()
}

// The server never answers a message, and nothing else is in flight.
func TestIsolation_IgnoredMessageInAWindowOf1_TheOthersArrive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.destination.ackTimeout, w.destination.window = 200*time.Millisecond, 1
	w.source.connect(false, nil)
	want := w.send(4, 0, 1)
	w.source.sync()
	x := w.play(func(_ *script.Conn, p script.Packet) bool { return p.Topic == "poison" }, nil)
	defer x.stop()
	defer func() { x.mu.Lock(); t.Logf("%d sessions, took %v", x.sessions, x.took); x.mu.Unlock() }()
	x.awaits(want...)
}
