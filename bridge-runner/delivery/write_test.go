// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"fmt"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// The spool reads a batch without the pipe's lock, so a QoS 0 message of the batch that
// is sent meanwhile keeps its content until the batch is written.
func TestPump_QoS0MessageIsBeingWritten_KeepsItsContent(t *testing.T) {
	w := newWorldWith(t, packet.V5, Options{BufferQoS0: true, MemoryBytes: 1 << 20, Disk: &Disk{Dir: t.TempDir(), Bytes: 4 << 20}}, everything)
	p := w.pipe // RunSpool does not run: the test takes the batch
	w.source.connect(false, nil)
	p.mu.Lock()
	p.spool.mode, p.spool.allRead = modeDirect, true // as if the log were open
	p.mu.Unlock()
	w.destination.up(false)
	p.mu.Lock()
	p.paused = true // the messages stay in the queue
	p.mu.Unlock()
	const messages = 3
	for i := range messages {
		w.source.Send(script.Publish(0, 0, "t", fmt.Sprint(i)))
	}
	w.source.sync()
	p.mu.Lock()
	p.spool.needLocked()
	p.mu.Unlock()
	b := p.spool.takeBatch()
	if len(b.messages) != messages {
		t.Fatalf("the batch has %d messages, want %d", len(b.messages), messages)
	}
	p.mu.Lock()
	p.paused = false
	p.pumpLocked()
	p.dequeueDoneLocked()
	p.mu.Unlock()
	w.flush()
	for i, m := range b.messages {
		w.destination.Want(fmt.Sprintf("PUBLISH qos0 t=%d", i))
		if want := fmt.Sprint(i); m.Topic != "t" || m.Payload != want {
			t.Errorf("message %d is %q=%q while it is written, want t=%s", i, m.Topic, m.Payload, want)
		}
	}
}

// A message may fit into the destination's packets and be too large for a record, whose
// packet has properties.
func TestWrite_MessageInFlightIsTooLargeForARecord_IsDroppedAndLeavesTheWindow(t *testing.T) {
	w := newWorldWith(t, packet.V5, Options{Disk: &Disk{Dir: t.TempDir(), Bytes: 4 << 20}}, everything)
	p := w.pipe // RunSpool does not run: the test takes the batch
	w.source.connect(false, nil)
	p.spool.openLog()
	t.Cleanup(p.spool.closeLog)
	w.destination.up(false)
	w.source.Send(script.Publish(1, 1, "t", "a"))
	w.destination.Want("PUBLISH 1 qos1 t=a")
	p.mu.Lock()
	p.spool.needLocked()
	p.mu.Unlock()
	b := p.spool.takeBatch()
	b.recorded[0] = false // as if it were too large
	p.mu.Lock()
	p.spool.batchWrittenLocked(&b, 0, nil)
	p.mu.Unlock()
	w.flush()
	w.source.Want("PUBACK 1")
	w.wantDropped(DropTooLarge, 1)
	ctx, cancel := context.WithTimeout(t.Context(), script.Timeout)
	defer cancel()
	if inflight, left := p.Pause(ctx, w.destination.s); inflight != 0 || left != 0 {
		t.Errorf("%d messages were in flight, %d are left, want none", inflight, left)
	}
}
