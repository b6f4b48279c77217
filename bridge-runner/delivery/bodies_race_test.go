// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build race

package delivery

import (
	"fmt"
	"runtime/debug"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// bodiesInUse returns the number of messages whose buffer is in use.
func bodiesInUse() int64 { return session.BodiesInUse() }

// While nothing fails, buffers are used again, and not left to the garbage collector.
func TestRelease_MessagesDelivered_EachBufferIsReleased(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		wantNoBodies(t)
		defer debug.SetGCPercent(debug.SetGCPercent(-1))
		w := newWorld(t, v, everything)
		w.source.connect(false, nil)
		w.destination.up(false)
		for n := range 30 {
			w.source.Send(large(1, 0, "t"), large(2, 1, "t"), large(3, 2, "t"))
			w.destination.wantLarge("PUBLISH qos0 t=1")
			p, q := w.destination.Next(), w.destination.Next()
			w.destination.Send(script.Ack(v5.PUBACK, p.ID, 0))
			w.destination.complete(q.ID)
			w.source.Want("PUBACK 2", "PUBREC 3")
			if used := bodiesInUse(); used > 0 {
				t.Fatalf("after %s, %d buffers are in use", fmt.Sprint(3*(n+1), " messages"), used)
			}
			w.source.Send(script.Ack(v5.PUBREL, 3, 0))
			w.source.Want("PUBCOMP 3")
		}
	})
}
