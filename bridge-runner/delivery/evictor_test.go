// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

func TestBufferQoS0_MemoryFull_DropsTheOldest(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorldWith(t, v, Options{BufferQoS0: true, MemoryBytes: 10_000}, everything)
		w.source.connect(false, nil)
		const messages = 5000
		for i := range messages {
			w.source.Send(script.Publish(0, 0, "t", fmt.Sprintf("%d %s", i, strings.Repeat("x", 780)))) // about 10 fit
			if i == 0 || i == messages-3 {
				w.source.Send(script.Publish(uint16(1+i%2), 1, "t", "held"))
			}
		}
		w.source.sync()
		w.pipe.mu.Lock()
		if n := w.pipe.queue.len(); n > 3*compactAt {
			t.Errorf("%d messages are in the queue", n)
		}
		w.pipe.mu.Unlock()
		b := w.pipe.Backlog()
		if b.Messages < 5 || b.Messages > 12 || b.Bytes > 10_000 || b.Oldest.IsZero() {
			t.Errorf("the backlog is %+v", b)
		}
		w.destination.up(false)
		w.destination.Want("PUBLISH 1 qos1 t=held")
		for i := messages - int(b.Messages); i < messages; i++ {
			p := w.destination.Next()
			if !strings.Contains(p.String(), fmt.Sprintf("t=%d ", i)) {
				t.Fatalf("message %d is %.30s", i, p)
			}
			if i == messages-3 {
				w.destination.Want("PUBLISH 2 qos1 t=held")
			}
		}
		w.destination.Send(script.Ack(v5.PUBACK, 1, 0), script.Ack(v5.PUBACK, 2, 0))
		w.source.Want("PUBACK 1", "PUBACK 2")
		w.wantNoQoS0()
		w.destination.sync()
		w.meter.mu.Lock()
		defer w.meter.mu.Unlock()
		if got := w.meter.dropped[DropBufferFull]; got != messages-int(b.Messages) {
			t.Errorf("%d are counted as dropped", got)
		}
	})
}

func TestBufferQoS0_DestinationLostAgain_SendsOnlyUnsentMessages(t *testing.T) {
	w := newWorldWith(t, packet.V311, Options{BufferQoS0: true}, everything)
	w.source.connect(false, nil)
	w.source.Send(script.Publish(0, 0, "t", "a"), script.Publish(1, 1, "t", "b"), script.Publish(0, 0, "t", "c"))
	w.source.sync()
	w.destination.up(false)
	w.destination.Want("PUBLISH qos0 t=a", "PUBLISH 1 qos1 t=b", "PUBLISH qos0 t=c")
	w.destination.down()
	w.source.Send(script.Publish(0, 0, "t", "d"))
	w.source.sync()
	w.destination.up(false)
	w.destination.Want("PUBLISH 1 qos1 t=b", "PUBLISH qos0 t=d")
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	w.source.Want("PUBACK 1")
	w.wantNoQoS0()
}

func TestDrainRate_Backlog_IsLimitedAndLiveMessagesQueueBehindIt(t *testing.T) {
	for name, rate := range map[string]DrainRate{"messages": {Messages: 100}, "bytes": {Bytes: 10_000}} {
		t.Run(name, func(t *testing.T) {
			for _, disk := range []bool{false, true} {
				var w *world
				if disk {
					w = newDiskWorld(t, packet.V311, t.TempDir(), func(o *Options) { o.Drain, o.BufferQoS0 = rate, true }).world
				} else {
					w = newWorldWith(t, packet.V311, Options{Drain: rate, BufferQoS0: true}, everything)
				}
				w.source.connect(false, nil)
				const messages = 50
				for i := range messages {
					w.source.Send(script.Publish(0, 0, "t", fmt.Sprintf("%099d", i)))
				}
				w.source.sync()
				began := time.Now()
				w.destination.up(false)
				w.source.Send(script.Publish(1, 1, "t", "live"))
				for i := range messages {
					w.destination.Want(fmt.Sprintf("PUBLISH qos0 t=%099d", i))
				}
				// The rate is 100 messages per second, except for the burst.
				if took, least := time.Since(began), messages*10*time.Millisecond-2*paceBurst; took < least || took > 4*least {
					t.Errorf("disk %v: it took %s, want %s or a little more", disk, took, least)
				}
				w.destination.Want("PUBLISH 1 qos1 t=live")
				w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
				w.source.Want("PUBACK 1")
			}
		})
	}
}

// A message that is being written to the disk is counted until it leaves the queue. The
// messages that are sent before the backlog of a log that was opened late must all be gone
// before anything is written.
func TestCompact_MessagesThatTheDiskCounts_AreKept(t *testing.T) {
	for _, backlog := range []int{0, 1} {
		t.Run(fmt.Sprintf("backlog=%d", backlog), func(t *testing.T) {
			dir := t.TempDir()
			store(t, dir, numbered(backlog, 1)...)
			w := newWorldWith(t, packet.V5, Options{Disk: &Disk{Dir: dir, Bytes: 64 << 20}}, everything)
			p := w.pipe // RunSpool does not run: the test calls step
			p.spool.mode, p.spool.allRead = modeDirect, true
			w.destination.window = 2 * compactAt
			w.source.connect(false, nil)
			w.destination.up(false)
			const inflight, written = compactAt + 200, compactAt + 100 // too few to be removed
			for i := range inflight {
				w.source.Send(script.Publish(uint16(i+1), 1, "t", "a"))
				w.destination.Want(fmt.Sprintf("PUBLISH %d qos1 t=a", i+1))
			}
			for range written {
				w.source.Send(script.Publish(0, 0, "t", "b"))
				w.destination.Want("PUBLISH qos0 t=b")
			}
			w.source.sync()
			p.mu.Lock()
			p.spool.needLocked()
			p.mu.Unlock()
			if backlog > 0 {
				p.spool.step() // to open the log
			}
			const enough = 300 // then fewer than half of the messages are in flight
			acknowledge := func(first, last int) {
				for id := first; id <= last; id++ {
					w.destination.Send(script.Ack(v5.PUBACK, uint16(id), 0))
				}
				w.wantAcknowledged(first, last, 1)
			}
			acknowledge(1, enough)
			w.source.Send(script.Publish(inflight+1, 1, "t", "behind"))
			w.source.sync() // the queue has been compacted, if possible
			acknowledge(enough+1, inflight)
			for p.spool.step() {
			}
			for range backlog + 1 {
				w.destination.Send(script.Ack(v5.PUBACK, w.destination.Next().ID, 0))
			}
			w.wantAcknowledged(inflight+1, inflight+1, 1)
			w.destination.sync()
			for p.spool.step() {
			}
			if left := p.Drain(t.Context()); left != 0 {
				t.Errorf("%d messages are left, want 0", left)
			}
		})
	}
}
