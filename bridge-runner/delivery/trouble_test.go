// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

func TestFullDisk_Block_NothingIsLost(t *testing.T) {
	w := newDiskWorld(t, packet.V311, t.TempDir(), func(o *Options) { o.Disk.Bytes = 1 << 20 })
	w.source.connect(false, nil)
	const messages = 30
	for i := range messages {
		w.source.Send(script.Publish(uint16(i+1), 1, fmt.Sprintf("t/%d", i), strings.Repeat("x", 100_000)))
	}
	if said := w.waitState(v1alpha1.BacklogFull); !strings.Contains(said, "raise buffer.disk.size") {
		t.Errorf("the message of the full buffer is %q", said)
	}
	killed := w.restartAfterKill(packet.V311)
	w.destination.up(false)
	for i := range messages {
		p := w.destination.Next()
		if p.Topic != fmt.Sprintf("t/%d", i) {
			t.Fatalf("message %d is to %s", i, p.Topic)
		}
		w.destination.Send(script.Ack(v5.PUBACK, p.ID, 0))
	}
	for i := range messages {
		w.source.Want(fmt.Sprintf("PUBACK %d", i+1))
	}
	w.waitState(v1alpha1.BacklogEmpty)

	killed.waitState(v1alpha1.BacklogBuffering)
	if n := killed.pipe.Backlog().Messages; n < 5 || n > 10 {
		t.Errorf("%d messages were on the disk", n)
	}
}

func TestFullDisk_DropNewest_DropsTheNewest(t *testing.T) {
	w := newDiskWorld(t, packet.V311, t.TempDir(), func(o *Options) {
		o.Disk.Bytes, o.Disk.WhenFull = 1<<20, v1alpha1.WhenFullDropNewest
	})
	w.source.connect(false, nil)
	w.source.Send(script.Publish(1, 1, "t/0", strings.Repeat("x", 100_000)))
	w.source.Want("PUBACK 1")
	w.waitState(v1alpha1.BacklogBuffering)
	const messages = 30
	for i := range messages { // one at a time, so that the disk is filled completely
		w.source.Send(script.Publish(uint16(100+i), 1, fmt.Sprintf("t/%d", i+1), strings.Repeat("x", 100_000)))
		w.source.Want(fmt.Sprintf("PUBACK %d", 100+i))
	}
	kept := int(w.pipe.Backlog().Messages)
	w.waitDropped(DropBufferFull, messages+1-kept)
	w.waitState(v1alpha1.BacklogFull)
	w.destination.up(false)
	for i := range kept {
		p := w.destination.Next()
		if p.Topic != fmt.Sprintf("t/%d", i) {
			t.Fatalf("message %d is to %s", i, p.Topic)
		}
		w.destination.Send(script.Ack(v5.PUBACK, p.ID, 0))
	}
	w.waitState(v1alpha1.BacklogEmpty)
}

func TestFullDisk_DropOldest_DropsTheOldest(t *testing.T) {
	w := newDiskWorld(t, packet.V311, t.TempDir(), func(o *Options) {
		o.Disk.Bytes, o.Disk.WhenFull = 1<<20, v1alpha1.WhenFullDropOldest
	})
	w.source.connect(false, nil)
	const messages = 150 // more than the disk and the read-ahead hold
	for i := range messages {
		w.source.Send(script.Publish(uint16(i+1), 1, fmt.Sprintf("t/%d", i), strings.Repeat("x", 100_000)))
		w.source.Want(fmt.Sprintf("PUBACK %d", i+1))
	}
	w.waitState(v1alpha1.BacklogFull)
	w.destination.up(false)
	last, arrived := -1, 0
	for last < messages-1 {
		p := w.destination.Next()
		var i int
		if _, err := fmt.Sscanf(p.Topic, "t/%d", &i); err != nil || i <= last {
			t.Fatalf("%s arrives behind %d: %v", p.Topic, last, err)
		}
		last = i
		arrived++
		w.destination.Send(script.Ack(v5.PUBACK, p.ID, 0))
	}
	w.waitDropped(DropBufferFull, messages-arrived)
	if arrived > 60 || arrived < 5 {
		t.Errorf("%d of %d arrived", arrived, messages)
	}
	w.waitState(v1alpha1.BacklogEmpty)
}

func TestFailedDisk_CannotBeOpened_IsUsedWhenItWorks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(dir, []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newDiskWorld(t, packet.V311, dir, nil)
	if said := w.waitState(v1alpha1.BacklogFailed); !strings.Contains(said, "not a directory") || !strings.Contains(said, "check the volume") {
		t.Errorf("the message of the failure is %q", said)
	}
	w.source.connect(false, nil)
	w.source.Send(script.Publish(1, 1, "t", "a"))
	w.source.sync() // nothing is acknowledged
	w.destination.up(false)
	w.destination.Want("PUBLISH 1 qos1 t=a")
	w.source.sync() // still nothing is acknowledged
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	w.source.Want("PUBACK 1")
	w.destination.down()
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	w.waitState(v1alpha1.BacklogEmpty)
	w.source.Send(script.Publish(2, 1, "t", "b"))
	w.source.Want("PUBACK 2")
	w.waitState(v1alpha1.BacklogBuffering)
}

func TestFailedDisk_DirectoryRemoved_LosesNoUnacknowledgedMessage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "disk")
	w := newDiskWorld(t, packet.V311, dir, nil)
	w.source.connect(false, nil)
	w.source.Send(script.Publish(1, 1, "t", "a"))
	w.source.Want("PUBACK 1")
	w.destination.up(false)
	w.destination.Want("PUBLISH 1 qos1 t=a")
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	w.waitState(v1alpha1.BacklogEmpty)
	w.destination.down()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", 5<<20) // the message needs another segment
	w.source.Send(script.Publish(2, 1, "t", large), script.Publish(3, 1, "t", "c"))
	w.waitState(v1alpha1.BacklogFailed)
	w.source.sync() // nothing is acknowledged
	w.destination.up(false)
	w.destination.Want("PUBLISH 1 qos1 t="+large, "PUBLISH 2 qos1 t=c")
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0), script.Ack(v5.PUBACK, 2, 0))
	w.source.Want("PUBACK 2", "PUBACK 3")
}

func TestSpool_SourceReconnects_IsAcknowledgedAtRedelivery(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newDiskWorld(t, v, t.TempDir(), nil)
		w.source.connect(false, nil)
		x, y := script.Publish(1, 1, "t", "x"), script.Publish(2, 2, "t", "y")
		w.source.Send(x, y)
		w.source.cut() // before the server reads its acknowledgements
		w.source.connect(true, nil)
		w.source.Send(script.Duplicate(x), script.Duplicate(y))
		w.source.WantBoth("PUBACK 1", "PUBREC 2") // in either order: the runner may know that y is on disk before it knows it of x
		w.waitState(v1alpha1.BacklogBuffering)
		if n := w.pipe.Backlog().Messages; n < 2 {
			t.Errorf("%d messages are on the disk", n)
		}
		w.destination.up(false)
		for got := 0; got < 2; { // once each, or twice if the acknowledgement did not arrive
			p := w.destination.Next()
			if strings.HasSuffix(p.String(), "t=x") || strings.HasSuffix(p.String(), "t=y") {
				got++
			}
		}
	})
}

func TestDrain_MessagesOnDisk_StayThere(t *testing.T) {
	w := newDiskWorld(t, packet.V311, t.TempDir(), nil)
	w.source.connect(false, nil)
	w.source.Send(script.Publish(1, 1, "t", "a"), script.Publish(2, 1, "t", "b"))
	w.source.Want("PUBACK 1", "PUBACK 2")
	if left := w.pipe.Drain(t.Context()); left != 0 {
		t.Errorf("%d messages are left with their source, want 0", left)
	}
	w.stop()
	w = newDiskWorld(t, packet.V311, w.dir, nil)
	w.destination.up(false)
	w.destination.Want("PUBLISH 1 qos1 t=a", "PUBLISH 2 qos1 t=b")
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	eventually(t, func() error {
		if n := w.pipe.Backlog().Messages; n != 1 {
			return fmt.Errorf("%d are on the disk", n)
		}
		return nil
	})
	drained := make(chan int)
	go func() { drained <- w.pipe.Drain(t.Context()) }()
	w.destination.Send(script.Ack(v5.PUBACK, 2, 0)) // the message is in flight, and Drain waits for it
	if left := <-drained; left != 0 {
		t.Errorf("%d messages are left with their source, want 0", left)
	}
}

func TestFailedDisk_QoS0MemoryFull_DropsOldestAndKeepsStoredMessages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "disk")
	w := newDiskWorld(t, packet.V311, dir, func(o *Options) {
		o.BufferQoS0, o.MemoryBytes = true, 10_000
	})
	w.source.connect(false, nil)
	w.source.Send(script.Publish(0, 0, "t", "stored"), script.Publish(1, 1, "t", "a"))
	w.source.Want("PUBACK 1")
	eventually(t, func() error { // messages that are only on the disk are removed with it
		w.pipe.mu.Lock()
		defer w.pipe.mu.Unlock()
		if n := w.pipe.spool.queuedFromDisk; n != 2 {
			return fmt.Errorf("%d messages have been read from the disk", n)
		}
		return nil
	})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", 5<<20) // the message needs another segment
	w.source.Send(script.Publish(2, 1, "t", large))
	w.waitState(v1alpha1.BacklogFailed)
	const messages = 5000
	for i := range messages {
		w.source.Send(script.Publish(0, 0, "t", fmt.Sprintf("%d %s", i, strings.Repeat("x", 780)))) // about 10 fit
	}
	w.source.sync()
	w.destination.up(false)
	w.destination.Want("PUBLISH qos0 t=stored", "PUBLISH 1 qos1 t=a", "PUBLISH 2 qos1 t="+large)
	p := w.destination.Next()
	for ; !strings.HasPrefix(p.String(), fmt.Sprintf("PUBLISH qos0 t=%d ", messages-1)); p = w.destination.Next() {
	}
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0), script.Ack(v5.PUBACK, 2, 0))
	w.source.Want("PUBACK 2")
	w.wantNoQoS0()
}

func TestFullDisk_MessageLargerThanTheDisk_DropsNoOthers(t *testing.T) {
	w := newDiskWorld(t, packet.V311, t.TempDir(), func(o *Options) {
		o.Disk.Bytes, o.Disk.WhenFull = 1<<20, v1alpha1.WhenFullDropOldest
	})
	w.source.connect(false, nil)
	w.source.Send(
		script.Publish(1, 1, "t", "a"),
		script.Publish(2, 1, "t", strings.Repeat("x", 2<<20)),
		script.Publish(3, 1, "t", "c"),
	)
	w.source.Want("PUBACK 1", "PUBACK 2", "PUBACK 3")
	w.waitDropped(DropBufferFull, 1)
	if said := w.waitState(v1alpha1.BacklogFull); !strings.Contains(said, "raise buffer.disk.size") {
		t.Errorf("the message of the full buffer is %q", said)
	}
	w = w.restartAfterKill(packet.V311)
	w.destination.up(false)
	w.destination.Want("PUBLISH 1 qos1 t=a", "PUBLISH 2 qos1 t=c")
}
