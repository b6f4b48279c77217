// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"sync"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// A message that ends the session in place of the suspect is passed over, too.
func TestIsolation_TwoSuspectsInARow_TheOthersArrive(t *testing.T) {
	for _, code := range []byte{0x97, 0x90} {
		t.Run(fmt.Sprintf("%#x", code), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, packet.V5, everything)
			w.source.connect(false, nil)
			for i, topic := range []string{"poison", "poison", "t", "t", "t"} {
				w.source.Send(script.Publish(uint16(i+1), 1, topic, fmt.Sprint(i)))
			}
			w.source.sync()
			x := w.play(ending("poison", code), nil)
			defer x.stop()
			defer func() { x.mu.Lock(); t.Logf("%d sessions, took %v", x.sessions, x.took); x.mu.Unlock() }()
			x.awaits("t=2", "t=3", "t=4")
		})
	}
}

// The server never answers two messages.
func TestIsolation_TwoIgnoredMessagesInARow_TheOthersArrive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.destination.ackTimeout = 200 * time.Millisecond
	w.source.connect(false, nil)
	for i, topic := range []string{"poison", "poison", "t", "t", "t"} {
		w.source.Send(script.Publish(uint16(i+1), 1, topic, fmt.Sprint(i)))
	}
	w.source.sync()
	x := w.play(func(_ *script.Conn, p script.Packet) bool { return p.Topic == "poison" }, nil)
	defer x.stop()
	defer func() { x.mu.Lock(); t.Logf("%d sessions, took %v", x.sessions, x.took); x.mu.Unlock() }()
	x.awaits("t=2", "t=3", "t=4")
	time.Sleep(300 * time.Millisecond)
	w.source.Send(script.Publish(8, 1, "t", "4b"))
	x.awaits("t=2", "t=3", "t=4", "t=4b")
	eventually(t, func() error {
		w.pipe.mu.Lock()
		defer w.pipe.mu.Unlock()
		if w.pipe.isolation.until == nil {
			return fmt.Errorf("together: %+v", w.pipe.isolation)
		}
		return nil
	})
	w.source.Send(script.Publish(6, 1, "t", "5"))
	x.awaits("t=2", "t=3", "t=4", "t=4b", "t=5")
	w.source.Send(script.Publish(7, 1, "t", "6"))
	x.awaits("t=2", "t=3", "t=4", "t=4b", "t=5", "t=6")
}

// The suspect is tried once more after its witness.
func TestIsolation_QuotaExceededForAWhile_NoMessageIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.source.connect(false, nil)
	want := w.send(5, -1, 1)
	w.source.sync()
	var mu sync.Mutex
	ends := 0
	x := w.play(func(c *script.Conn, _ script.Packet) bool {
		mu.Lock()
		defer mu.Unlock()
		if ends == 4 {
			return false
		}
		ends++
		end(c, 0x97)
		return true
	}, nil)
	defer x.stop()
	eventually(t, func() error {
		x.mu.Lock()
		defer x.mu.Unlock()
		if len(x.took) < len(want) { // the witness may come before the suspect
			return fmt.Errorf("%q arrived", x.took)
		}
		return nil
	})
	w.gaveUp(FateDropped)
}

// A witness does not outlast its server.
func TestIsolation_ServerChangesAtTheWitness_TheSuspectGoesFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.source.connect(false, nil)
	w.source.Send(script.Publish(1, 1, "poison", "x"))
	w.source.sync()
	x := w.play(ending("poison", 0x97), nil)
	defer x.stop()
	eventually(t, func() error {
		w.pipe.mu.Lock()
		defer w.pipe.mu.Unlock()
		if !w.pipe.isolation.witness {
			return fmt.Errorf("no witness")
		}
		return nil
	})
	other := newSide(w, packet.V5)
	other.up(false) // Replace
	w.source.Send(script.Publish(2, 1, "t", "witness"))
	if q := other.Next(); q.Type == v5.PUBLISH && q.Topic != "poison" {
		t.Errorf("the server gets %s first", q)
	}
}
