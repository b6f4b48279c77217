// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// Some servers end the session at a message by a code that is about something else: a
// server that rejects it by a policy says that an administrator has ended the session.
func TestIsolation_CodeIsAboutTheServer_OnlyThePoisonIsDropped(t *testing.T) {
	for _, code := range []byte{0x89, 0x8B, 0x8D, 0x98, 0x9C, 0x9D, 0x9F, 0xA0} {
		for _, qos := range []byte{1, 2} {
			t.Run(fmt.Sprintf("code=%#x/qos=%d", code, qos), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, packet.V5, everything)
				w.source.connect(false, nil)
				want := w.send(10, 4, qos)
				w.source.sync()
				x := w.runServers(ending("poison", code), func(x *serverRotation) { x.keepSessions = true })
				defer x.stop()
				x.waitAccepted(want...)
				w.wantAcknowledged(1, 10, qos)
				w.wantGivenUp(FateDropped, "poison")
				w.wantDropped(DropUnforwardable, 1)
				x.wantSessions(mostSessions)
			})
		}
	}
}

// Another client has the bridge's client identifier, and takes the session over each
// time. That says nothing about the message in flight.
func TestIsolation_SessionTakenOver_NoMessageIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.source.connect(false, nil)
	w.send(3, 1, 1)
	w.source.sync()
	x := w.runServers(ending("poison", 0x8E), func(x *serverRotation) { x.keepSessions = true })
	defer x.stop()
	eventually(t, func() error {
		if n := x.sessionCount(); n < 50 {
			return fmt.Errorf("%d sessions", n)
		}
		return nil
	})
	time.Sleep(controlMinimum)
	w.wantDropped("", 0)
}

// A server that ends sessions by such codes at random makes no message unforwardable.
func TestIsolation_SessionsEndAtRandomByCodes_NoMessageIsDropped(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	codes := []byte{0, 0x80, 0x89, 0x8B, 0x8D, 0x8E, 0x98, 0x9C, 0xA0}
	w := newWorld(t, packet.V5, everything)
	w.source.connect(false, nil)
	cuts := 200
	cut := func(c *script.Conn) bool {
		if cuts == 0 || r.IntN(4) > 0 {
			return false
		}
		cuts--
		end(c, codes[r.IntN(len(codes))])
		return true
	}
	x := w.runServers(func(c *script.Conn, _ script.Packet) bool { return cut(c) }, func(x *serverRotation) { x.onPing, x.keepSessions = cut, true })
	defer x.stop()
	var want []string
	for i := range 300 {
		qos := byte(1 + i%2)
		w.source.Send(script.Publish(uint16(i+1), qos, "t", fmt.Sprint(i)))
		want = append(want, fmt.Sprintf("t=%d", i))
		for id := i - 8; i%10 == 9 && id <= i+1; id++ {
			w.source.Want(fmt.Sprintf("%s %d", []string{"PUBREC", "PUBACK"}[id%2], id))
		}
	}
	x.waitAccepted(want...)
	w.wantDropped("", 0)
	t.Logf("%d sessions", x.sessionCount())
}
