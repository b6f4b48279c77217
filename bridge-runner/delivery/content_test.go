// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// contentBytes returns the size of the payloads that the messages in the queue keep, in
// bytes. It includes the payloads of the inbound messages.
func (p *Pipe) contentBytes() (size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.queue.len() {
		m := p.queue.at(i)
		size += len(m.Payload)
		if m.origin != nil && m.origin.in != nil {
			size += len(m.origin.in.Payload)
		}
	}
	return size
}

// The server accepts no packets of that size, so the QoS 0 messages are dropped. The
// message in front of them is not acknowledged.
func TestMemory_DroppedQoS0BehindAnUnacknowledgedMessage_IsNotKept(t *testing.T) {
	const messages, size = 3 * compactAt, 1000
	w := newWorld(t, packet.V5, everything)
	w.source.connect(false, nil)
	w.destination.connect(false, &v5.Properties{MaximumPacketSize: new(uint32(size))})
	w.pipe.Up(w.destination.s)
	w.source.Send(script.Publish(1, 1, "t", "held"))
	w.destination.Want("PUBLISH 1 qos1 t=held")
	payload := strings.Repeat("x", size)
	for range messages {
		w.source.Send(script.Publish(0, 0, "t", payload))
	}
	w.source.sync()
	if n := w.pipe.contentBytes(); n > size {
		t.Errorf("%d bytes are kept", n)
	}
	w.pipe.mu.Lock()
	if n := w.pipe.queue.len(); n > 2*compactAt+1 {
		t.Errorf("%d messages are in the queue", n)
	}
	w.pipe.mu.Unlock()
	w.wantNoQoS0()
	w.wantDropped(DropTooLarge, messages)
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	w.source.Want("PUBACK 1")
}

// The copy of a message for each rule passes, as the message does.
func TestMemory_QoS0LargerThanTheBound_PassesForEachRule(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorldWith(t, v, Options{MemoryBytes: 1000}, everything,
			v1alpha1.Rule{Filter: "t", Topic: "copy", QoS: ptr.To[int32](1)})
		w.source.connect(false, nil)
		w.destination.up(false)
		large := strings.Repeat("x", 5000)
		w.source.Send(script.Publish(0, 0, "t", large))
		w.destination.Want("PUBLISH qos0 t="+large, "PUBLISH qos0 copy="+large)
		w.source.sync()
		w.wantNoQoS0()
		w.wantDropped("", 0)
	})
}

// A message for which no eviction makes room causes no other message to be dropped.
func TestBufferQoS0_MessageLargerThanTheBound_DropsNoOthers(t *testing.T) {
	w := newWorldWith(t, packet.V311, Options{MemoryBytes: 2000, BufferQoS0: true}, everything)
	w.source.connect(false, nil)
	w.source.Send(script.Publish(0, 0, "t", "1"), script.Publish(0, 0, "t", "2"),
		script.Publish(0, 0, "t", strings.Repeat("x", 5000)), script.Publish(0, 0, "t", "3"))
	w.source.sync()
	w.destination.up(false)
	w.destination.Want("PUBLISH qos0 t=1", "PUBLISH qos0 t=2", "PUBLISH qos0 t=3")
	w.wantDropped(DropQueueFull, 1)
	w.wantNoQoS0()
}

// The source's session ends with the connection, so the messages are not left with the
// source.
func TestMemory_DroppedMessageOfACleanSession_IsNotKept(t *testing.T) {
	const messages, size = 100, 10_000
	w := newWorldWith(t, packet.V5, Options{MemoryBytes: 2 * size}, everything)
	w.source.connect(false, &v5.Properties{SessionExpiryInterval: new(uint32(0))})
	for i := range messages {
		w.source.Send(script.Publish(uint16(i+1), byte(1+i%2), "t", strings.Repeat("x", size)))
	}
	w.source.sync()
	if n := w.pipe.contentBytes(); n > 4*size { // each message, and its inbound message
		t.Errorf("%d bytes are kept", n)
	}
	w.destination.up(false)
	w.destination.Next()
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	for i := range messages { // in order
		w.source.Want(fmt.Sprintf("%s %d", []string{"PUBACK", "PUBREC"}[i%2], i+1))
	}
}

// The dead letter of the first message is not acknowledged.
func TestDisk_DeliveredBehindADeadLetter_IsNotKept(t *testing.T) {
	const messages, size = 300, 10_000
	w := newDiskWorld(t, packet.V5, t.TempDir(), func(o *Options) { o.Unforwardable.DeadLetter = "dead" })
	w.pipe.SetReverse(New(nil, &counts{dropped: map[string]int{}}, Options{})) // the source is not connected
	w.source.connect(false, nil)
	for i := range messages {
		topic := "t"
		if i == 0 {
			topic = "poison"
		}
		w.source.Send(script.Publish(uint16(i+1), 1, topic, fmt.Sprint(i)+strings.Repeat("x", size)))
	}
	w.wantAcknowledged(1, messages, 1) // they are on the disk
	x := w.runServers(refusing("poison", 0x87, 0), nil)
	defer x.stop()
	eventually(t, func() error {
		x.mu.Lock()
		defer x.mu.Unlock()
		if len(x.accepted) < messages-1 {
			return fmt.Errorf("%d of %d arrived", len(x.accepted), messages-1)
		}
		return nil
	})
	eventually(t, func() error {
		if n := w.pipe.contentBytes(); n > 5*size {
			return fmt.Errorf("%d bytes are kept", n)
		}
		return nil
	})
}

// Dead letters of QoS 0 messages have the same bound as QoS 0 messages.
func TestDeadLetter_OfManyQoS0Messages_AreBounded(t *testing.T) {
	const messages, size, bound = 100, 1000, 10_000
	w := newWorldWith(t, packet.V5, Options{MemoryBytes: bound, Unforwardable: Unforwardable{DeadLetter: "dead"}}, everything)
	w.addReverse()
	w.source.upForLetters()
	w.destination.connect(false, &v5.Properties{MaximumPacketSize: new(uint32(size))})
	w.pipe.Up(w.destination.s)
	for range messages {
		w.source.Send(script.Publish(0, 0, "t", strings.Repeat("x", size)))
	}
	w.source.Send(script.Publish(0, 0, "t", "small"))
	var dead []uint16
	for len(dead) < bound/(size+messageOverhead+1) {
		p := w.source.Next()
		if p.Topic != "dead" {
			t.Fatalf("%.100s instead of a dead letter", p)
		}
		dead = append(dead, p.ID)
	}
	if n := w.pipe.contentBytes(); n > 2*bound {
		t.Errorf("%d bytes are kept", n)
	}
	for _, id := range dead {
		w.source.Send(script.Ack(v5.PUBACK, id, 0))
	}
	eventually(t, func() error {
		w.pipe.mu.Lock()
		defer w.pipe.mu.Unlock()
		if w.pipe.queue.len() > 0 || w.pipe.qos0Bytes > 0 {
			return errors.New("messages are left")
		}
		return nil
	})
	w.wantNoQoS0()
	if n := w.meter.droppedFor(DropQueueFull); n == 0 {
		t.Error("no message is dropped")
	}
	w.source.Send(script.Publish(0, 0, "t", "last"))
	for deadline := time.Now().Add(script.Timeout); time.Now().Before(deadline); {
		if p := w.destination.Next(); p.Payload == "last" {
			return
		}
	}
}

// A message that waits for its dead letter is not evicted.
func TestBufferQoS0_MessageWaitsForItsDeadLetter_IsDroppedOnce(t *testing.T) {
	const size = 1000
	w := newWorldWith(t, packet.V5, Options{MemoryBytes: 3000, BufferQoS0: true, Unforwardable: Unforwardable{DeadLetter: "dead"}}, everything)
	w.addReverse()
	w.source.upForLetters()
	w.destination.connect(false, &v5.Properties{MaximumPacketSize: new(uint32(size))})
	w.pipe.Up(w.destination.s)
	w.source.Send(script.Publish(0, 0, "t", strings.Repeat("x", size)))
	p := w.source.Next()
	w.destination.down()
	for range 5 {
		w.source.Send(script.Publish(0, 0, "t", strings.Repeat("y", size/2)))
	}
	w.source.sync()
	w.source.Send(script.Ack(v5.PUBACK, p.ID, 0))
	w.source.sync()
	if n := w.meter.droppedFor(DropTooLarge); n != 1 {
		t.Errorf("dropped: %v", w.meter)
	}
	w.destination.up(false)
	w.destination.Next()
	eventually(t, func() error {
		w.pipe.mu.Lock()
		defer w.pipe.mu.Unlock()
		if w.pipe.queue.len() > 0 || w.pipe.qos0Bytes != 0 {
			return fmt.Errorf("%d messages are left, and %d bytes of QoS 0 are counted", w.pipe.queue.len(), w.pipe.qos0Bytes)
		}
		return nil
	})
}

// The connection is lost repeatedly before a message is acknowledged. QoS 0 messages wait
// behind it each time.
func TestMemory_QoS0DroppedAtEachLoss_IsNotKept(t *testing.T) {
	const losses, each = 20, 300
	w := newWorld(t, packet.V5, everything)
	w.destination.window = 1
	w.source.connect(false, nil)
	w.source.Send(script.Publish(1, 1, "t", "a"), script.Publish(2, 1, "t", "b"))
	w.source.sync()
	for range losses {
		w.destination.up(true)
		for range each {
			w.source.Send(script.Publish(0, 0, "t", "x"))
		}
		w.source.sync()
		w.destination.down()
	}
	w.wantDropped(DropNotConnected, losses*each)
	w.pipe.mu.Lock()
	defer w.pipe.mu.Unlock()
	if n := w.pipe.queue.len(); n > 2*compactAt+each {
		t.Errorf("%d messages are in the queue", n)
	}
}
