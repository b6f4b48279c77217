// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
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

// A dead letter that waits stops nothing.
func TestDeadLetter_SourceSideIsDown_TheBacklogDrains(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := inUse(t, dir, 0)
	var records [][]byte
	for i := range 3000 {
		m := &outgoing{}
		m.At = time.Now()
		m.Topic, m.Payload, m.QoS = "t", fmt.Sprint(i), 1
		if i == 0 {
			m.Topic = "poison"
		}
		r, _ := appendStored(nil, m)
		records = append(records, r)
	}
	if _, err := l.Append(records); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	w := newDiskWorld(t, packet.V5, dir, func(o *Options) { o.Unforwardable.DeadLetter = "dead" })
	w.pipe.SetReverse(New(nil, w.meter, Options{})) // the source is away
	x := w.play(func(c *script.Conn, p script.Packet) bool {
		if p.Topic == "poison" {
			reply(c, script.Ack(v5.PUBACK, p.ID, 0x87))
			return true
		}
		return false
	}, nil)
	defer x.stop()
	eventually(t, func() error {
		x.mu.Lock()
		defer x.mu.Unlock()
		if len(x.took) < 2999 {
			return fmt.Errorf("%d of 2999 arrived", len(x.took))
		}
		return nil
	})
}

// Messages that are delivered make room for more.
func TestRefusal_ManyQoS0BehindItOnDisk_AreRead(t *testing.T) {
	w := newDiskWorld(t, packet.V5, t.TempDir(), nil)
	w.source.connect(false, nil)
	x := w.play(func(c *script.Conn, p script.Packet) bool {
		if p.Topic == "poison" {
			reply(c, script.Ack(v5.PUBACK, p.ID, 0x80))
			return true
		}
		return false
	}, nil)
	defer x.stop()
	w.source.Send(script.Publish(1, 1, "poison", "x"))
	time.Sleep(2 * time.Second)
	for i := range 3000 {
		w.source.Send(script.Publish(0, 0, "t", fmt.Sprint(i)))
	}
	time.Sleep(time.Second)
	w.source.Send(script.Publish(2, 1, "t", "exact"))
	time.Sleep(12 * time.Second)
	x.mu.Lock()
	defer x.mu.Unlock()
	w.pipe.mu.Lock()
	defer w.pipe.mu.Unlock()
	t.Logf("took %d room %d loaded %d queue %d buffering %v of %d given up %v dropped %v", len(x.took), roomOf(w.pipe), w.pipe.disk.loaded, w.pipe.queue.len(), w.pipe.disk.buffering, len(w.pipe.refusals.of), w.meter.givenUp, w.meter.dropped)
	if len(x.took) < 1501 {
		t.Errorf("%d of 1501 arrived; room %d, given up %v", len(x.took), roomOf(w.pipe), w.meter.givenUp)
	}
}

func roomOf(p *Pipe) int { n, _ := p.room(); return n }
