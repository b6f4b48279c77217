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

// sweep takes out no message that is being written to the disk.
func TestSweep_MessagesThatAreBeingWritten_AreKept(t *testing.T) {
	w := newWorldWith(t, packet.V5, Options{Disk: &Disk{Dir: t.TempDir(), Bytes: 64 << 20, WhenFull: "Block"}}, everything)
	w.source.connect(false, nil)
	w.destination.up(false)
	p := w.pipe
	for p.step() {
	}
	p.mu.Lock()
	if p.disk.buffering {
		t.Fatal("buffering")
	}
	p.mu.Unlock()
	w.source.Send(script.Publish(1, 1, "t", "held"))
	w.destination.Want("PUBLISH 1 qos1 t=held")
	p.mu.Lock()
	p.paused = true // as a slow destination
	p.mu.Unlock()
	for i := range 1500 {
		w.source.Send(script.Publish(0, 0, "t", fmt.Sprint(i)))
	}
	w.source.sync()
	p.mu.Lock()
	p.enter() // as check does after a second
	p.paused = false
	p.pump() // as Ready does before the keeper has written
	p.release()
	p.mu.Unlock()
	w.destination.s.Flush()
	for p.step() {
	}
	p.mu.Lock()
	t.Logf("queue %d loaded %d room %d copies %d", p.queue.len(), p.disk.loaded, func() int { n, _ := p.room(); return n }(), p.disk.copies)
	if p.disk.loaded > p.queue.len() {
		t.Errorf("loaded is %d, the queue has %d", p.disk.loaded, p.queue.len())
	}
	p.mu.Unlock()
	go func() { // read all
		for {
			q, err := w.destination.TryNext()
			if err != nil {
				return
			}
			if q.Payload == "later" {
				w.destination.Send(script.Ack(v5.PUBACK, q.ID, 0))
				close(arrived)
			}
		}
	}()
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	w.source.Want("PUBACK 1")
	w.source.Send(script.Publish(2, 1, "t", "later"))
	eventually(t, func() error {
		p.check()
		p.step()
		select {
		case <-arrived:
			return nil
		default:
			return fmt.Errorf("no later")
		}
	})
	w.destination.down()
	w.source.Want("PUBACK 2")
	w.source.Send(script.Publish(3, 1, "t", "buffered"))
	w.source.sync0(p)
	w.destination.up(true)
	got := make(chan string, 10)
	go func() {
		q, err := w.destination.TryNext()
		if err == nil {
			got <- q.String()
		}
	}()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond * 10) {
		p.check()
		p.step()
		select {
		case s := <-got:
			t.Log(s)
			return
		default:
		}
	}
	p.mu.Lock()
	t.Errorf("the message on the disk does not arrive: %d messages in the log, room %d, loaded %d, queue %d, buffering %v", p.disk.messages, func() int { n, _ := p.room(); return n }(), p.disk.loaded, p.queue.len(), p.disk.buffering)
	p.mu.Unlock()
}

var arrived = make(chan struct{})

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

func (x *side) sync0(p *Pipe) {
	eventually(x.w.t, func() error {
		p.check()
		p.step()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.disk.messages == 0 {
			return fmt.Errorf("not on disk")
		}
		return nil
	})
	x.Want("PUBACK 3")
}

// A message that comes from the disk later leaves no identifier behind.
func TestDisk_QoS2MessagePutBehindTheBacklog_IdentifiersAreFree(t *testing.T) {
	dir := t.TempDir()
	other := inUse(t, dir, 10)
	w := newDiskWorld(t, packet.V311, dir, nil)
	w.becomes("Failed")
	w.source.connect(false, nil)
	w.destination.up(false)
	w.source.Send(script.Publish(1, 2, "t", "a"))
	w.destination.Want("PUBLISH 1 qos2 t=a")
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	w.becomes("Draining")
	w.destination.down()
	w.source.Want("PUBREC 1")
	w.destination.up(true)
	var mu sync.Mutex
	var rels []uint16
	var n int
	go func() {
		for {
			q, err := w.destination.TryNext()
			if err != nil {
				return
			}
			mu.Lock()
			switch {
			case q.Type == v5.PUBREL:
				rels = append(rels, q.ID)
				reply(w.destination.Conn, script.Ack(v5.PUBCOMP, q.ID, 0))
			case q.Type == v5.PUBLISH && q.QoS == 1:
				reply(w.destination.Conn, script.Ack(v5.PUBACK, q.ID, 0))
			case q.Type == v5.PUBLISH && q.QoS == 2:
				n++
				reply(w.destination.Conn, script.Ack(v5.PUBREC, q.ID, 0))
			}
			mu.Unlock()
		}
	}()
	for i := range 4400 {
		w.source.Send(script.Publish(uint16(i+2), 2, "t", fmt.Sprint("n", i)))
		w.source.Want(fmt.Sprintf("PUBREC %d", i+2))
	}
	var was int
	for {
		time.Sleep(3 * time.Second)
		mu.Lock()
		now := n
		mu.Unlock()
		if now == was {
			break
		}
		was = now
	}
	mu.Lock()
	if n < 4401 {
		t.Errorf("%d QoS 2 messages of 4401 arrived; PUBREL 1 sent: %v", n, len(rels) > 0 && rels[0] == 1)
	}
	mu.Unlock()
}
