// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"strings"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// The server handles a QoS 2 message at its PUBREL, and ends the session at the poison.
// When the message is given up, its identifier is not released, because that would end
// sessions, too.
func TestIsolation_ServerEndsTheSessionAtPubrel_NoSessionEndsAfterwards(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		t.Parallel()
		w := newWorld(t, v, everything)
		w.source.connect(false, nil)
		w.send(4, 1, 2)
		w.source.sync()
		held, took, ended := map[uint16]string{}, map[string]bool{}, 0
		for n := 0; len(took) < 4; n++ {
			if n > 10 {
				t.Fatalf("%d sessions have ended, and %v arrived", ended, took)
			}
			w.destination.connect(n > 0, nil)
			w.pipe.Up(w.destination.s)
			w.flush()
			if w.meter.droppedFor(DropUnforwardable) > 0 {
				w.source.Send(script.Publish(9, 2, "t", "behind"))
			}
			for len(took) < 4 {
				p := w.destination.Next()
				switch p.Type {
				case v5.PINGREQ:
					w.destination.Send(script.Packet{Type: v5.PINGRESP})
					continue
				case v5.PUBLISH:
					held[p.ID] = p.Topic + "=" + p.Payload
					w.destination.Send(script.Ack(v5.PUBREC, p.ID, 0))
					continue
				}
				if strings.HasPrefix(held[p.ID], "poison") {
					ended++
					break
				}
				if held[p.ID] != "" {
					took[held[p.ID]] = true
				}
				delete(held, p.ID)
				w.destination.Send(script.Ack(v5.PUBCOMP, p.ID, 0))
			}
			w.destination.down()
		}
		if ended > mostSessions {
			t.Errorf("%d sessions have ended, at most %d should", ended, mostSessions)
		}
		w.wantDropped(DropUnforwardable, 1)
	})
}
