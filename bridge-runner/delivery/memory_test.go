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
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

func TestMemory_QoS0LargerThanTheBound_PassesIfNothingWaits(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorldWith(t, v, Options{MemoryBytes: 1000}, everything)
		w.source.connect(false, nil)
		w.destination.up(false)
		large := strings.Repeat("x", 5000)
		for range 3 {
			w.source.Send(script.Publish(0, 0, "t", large))
			w.destination.Want("PUBLISH qos0 t=" + large)
		}
		w.wantNoQoS0()
	})
}

// A QoS 0 message that was written needs no memory, also behind an unacknowledged
// message.
func TestMemory_WrittenQoS0BehindAnUnacknowledgedMessage_IsNotKept(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v, everything)
		w.source.connect(false, nil)
		w.destination.up(false)
		w.source.Send(script.Publish(1, 1, "t", "held"))
		w.destination.Want("PUBLISH 1 qos1 t=held")
		payload := strings.Repeat("x", 1000)
		for range 5 * compactAt {
			w.source.Send(script.Publish(0, 0, "t", payload))
			w.destination.Want("PUBLISH qos0 t=" + payload)
		}
		w.source.sync()
		w.pipe.mu.Lock()
		if n := w.pipe.queue.len(); n > 3*compactAt {
			t.Errorf("%d messages are in the queue", n)
		}
		for i := range w.pipe.queue.len() {
			if m := w.pipe.queue.at(i); m.QoS == 0 && m.Payload != "" {
				t.Errorf("message %d keeps its payload", i)
				break
			}
		}
		w.pipe.mu.Unlock()
		w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
		w.source.Want("PUBACK 1")
	})
}

// Messages for which there is no memory stay with their source. When half of the memory
// is free, the source's session is renewed, and the source sends them again, in order.
func TestMemory_MessagesBeyondTheBound_StayWithTheSourceAndComeInOrder(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		const messages, fit = 12, 4
		w := newWorldWith(t, v, Options{MemoryBytes: fit * 1300}, everything)
		w.source.connect(false, nil)
		w.destination.up(false)
		payload := func(n int) string { return fmt.Sprintf("%02d%s", n, strings.Repeat("x", 1000)) }
		qos := func(n int) byte { return byte(1 + n%2) }
		for n := range messages {
			w.source.Send(script.Publish(uint16(n+1), qos(n), "t", payload(n)))
		}
		w.source.sync()
		sent := 0
		deliver := func(n int) {
			for last, exact := sent+n, 0; sent < last || exact > 0; {
				switch p := w.destination.Next(); {
				case p.Type == v5.PUBREL:
					w.destination.Send(script.Ack(v5.PUBCOMP, p.ID, 0))
					exact--
				case p.Payload != payload(sent):
					t.Fatalf("message %d is %.20s", sent, p)
				case p.QoS == 2:
					w.destination.Send(script.Ack(v5.PUBREC, p.ID, 0))
					exact++
					sent++
				default:
					w.destination.Send(script.Ack(v5.PUBACK, p.ID, 0))
					sent++
				}
			}
		}
		for sent < messages {
			before := sent
			deliver(min(fit, messages-sent))
			for n := before; n < sent; n++ {
				w.source.Want(fmt.Sprintf("%s %d", map[byte]string{1: "PUBACK", 2: "PUBREC"}[qos(n)], n+1))
			}
			if sent == messages {
				break
			}
			w.source.wantRenewal()
			w.source.cut()
			w.source.connect(true, nil)
			for n := sent; n < messages; n++ {
				w.source.Send(script.Duplicate(script.Publish(uint16(n+1), qos(n), "t", payload(n))))
			}
			w.source.sync() // only then are there messages for which there is no memory
		}
		w.source.sync()
		if got := w.meter.String(); !strings.HasPrefix(got, fmt.Sprintf("forwarded %d, dropped map[]", messages)) {
			t.Error(got)
		}
		w.pipe.mu.Lock()
		defer w.pipe.mu.Unlock()
		if w.pipe.unackedBytes != 0 {
			t.Errorf("%d bytes are counted", w.pipe.unackedBytes)
		}
	})
}

// wantRenewal waits until the pipe asks for a renewal of the side's session.
func (x *side) wantRenewal() {
	x.w.t.Helper()
	select {
	case <-x.s.ReconnectRequested():
	case <-time.After(script.Timeout):
		x.w.t.Fatal("the session is not renewed")
	}
}

// smallMemory has room for one message with the payload mostOfMemory, but not for two.
const smallMemory = 10_000

var mostOfMemory = strings.Repeat("x", 8000)

// A renewal costs a connection, and does not help while the refused message does not fit.
func TestMemory_RefusedMessageDoesNotFit_SourceIsRenewedWhenItDoes(t *testing.T) {
	w := newWorldWith(t, packet.V5, Options{MemoryBytes: smallMemory}, everything)
	w.source.connect(false, nil)
	w.source.Send(script.Publish(1, 1, "t", strings.Repeat("x", 3000))) // less than half of the memory
	w.source.Send(script.Publish(2, 1, "t", mostOfMemory))              // refused
	w.source.Send(script.Publish(0, 0, "t", "another event"))
	w.source.sync()
	select {
	case <-w.source.s.ReconnectRequested():
		t.Fatal("the source is renewed, and the refused message does not fit")
	default:
	}
	w.destination.up(false)
	w.destination.Next()
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	w.source.Want("PUBACK 1")
	w.source.wantRenewal()
}

// Before the bridge switches to another server of the source, it has a session with each
// server.
func TestMemory_MessagesOfTwoSessionsWereRefused_BothAreRenewed(t *testing.T) {
	w := newWorldWith(t, packet.V5, Options{MemoryBytes: smallMemory}, everything)
	w.source.connect(false, nil)
	w.destination.up(false)
	w.source.Send(script.Publish(1, 1, "t", mostOfMemory), script.Publish(2, 1, "t", mostOfMemory)) // the second is refused
	w.source.sync()
	other := newSide(w, packet.V5)
	other.connect(true, nil)
	other.Send(script.Publish(1, 1, "t", mostOfMemory)) // refused
	other.sync()
	w.destination.Next()
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	w.source.Want("PUBACK 1")
	w.source.wantRenewal()
	other.wantRenewal()
}

// A server that does not keep the session does not send a refused message again.
func TestMemory_SourceKeepsNoSession_MessageBeyondTheBoundIsDroppedAndAcknowledged(t *testing.T) {
	w := newWorldWith(t, packet.V5, Options{MemoryBytes: smallMemory}, everything)
	w.source.connect(false, &v5.Properties{SessionExpiryInterval: new(uint32(0))})
	w.destination.up(false)
	w.source.Send(script.Publish(1, 1, "t", mostOfMemory), script.Publish(2, 1, "t", mostOfMemory))
	w.source.sync()
	w.wantDropped(DropBufferFull, 1)
	w.destination.Next()
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	w.source.Want("PUBACK 1", "PUBACK 2")
}

// While the destination is away, a source without a session may send messages for which there is no memory on any number
// of connections.
func TestMemory_SourceKeepsNoSession_DroppedMessagesDoNotCollect(t *testing.T) {
	const connections, messages = 3, 1000
	w := newWorldWith(t, packet.V5, Options{MemoryBytes: smallMemory}, everything)
	for range connections {
		w.source.connect(false, &v5.Properties{SessionExpiryInterval: new(uint32(0))})
		for n := range messages {
			w.source.Send(script.Publish(uint16(n+1), 1, "t", mostOfMemory))
		}
		w.source.sync()
		w.source.cut()
	}
	w.wantDropped(DropBufferFull, connections*messages-1)
	w.pipe.mu.Lock()
	n := w.pipe.queue.len()
	w.pipe.mu.Unlock()
	if n > messages+1 {
		t.Errorf("%d messages are in the queue, want the one that fits, and those of the last connection", n)
	}
}

// A server may keep a session that should have ended with the connection.
func TestMemory_ForgottenMessageIsSentAgain_IsAcknowledged(t *testing.T) {
	w := newWorldWith(t, packet.V5, Options{MemoryBytes: smallMemory}, everything)
	w.source.connect(false, &v5.Properties{SessionExpiryInterval: new(uint32(0))})
	first, second := script.Publish(1, 1, "t", mostOfMemory), script.Publish(2, 1, "t", "second"+mostOfMemory)
	w.source.Send(first, second) // the second is dropped
	w.source.sync()
	w.source.cut()
	w.source.connect(true, &v5.Properties{SessionExpiryInterval: new(uint32(0))})
	w.source.Send(script.Publish(3, 1, "t", mostOfMemory)) // dropped; the second is forgotten
	w.source.Send(script.Duplicate(first), script.Duplicate(second))
	w.source.sync()
	w.destination.up(false)
	w.destination.Next()
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	w.source.Want("PUBACK 3", "PUBACK 1", "PUBACK 2")
}

// A session that has ended must not be kept until there is memory: the destination may be away for days, while the
// source connects again and again.
func TestMemory_SourceReconnectsWhileNoMemoryIsFree_EndedSessionsAreNotKept(t *testing.T) {
	w := newWorldWith(t, packet.V5, Options{MemoryBytes: smallMemory}, everything)
	for n := range 5 {
		w.source.connect(n > 0, nil)
		first, second := script.Publish(1, 1, "t", mostOfMemory), script.Publish(2, 1, "t", "second"+mostOfMemory)
		if n > 0 {
			first, second = script.Duplicate(first), script.Duplicate(second)
		}
		w.source.Send(first, second) // the second is refused
		w.source.sync()
		if n < 4 {
			w.source.cut()
		}
	}
	w.pipe.mu.Lock()
	sessions := len(w.pipe.leftAtSource.sessions)
	w.pipe.mu.Unlock()
	if sessions != 1 {
		t.Errorf("%d sessions are kept, want the one in use", sessions)
	}
	w.destination.up(false)
	w.destination.Next()
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	w.source.wantRenewal()
}

func TestReady_NotificationHadTheOnlyPlace_TheMessageIsSentAtItsAcknowledgement(t *testing.T) {
	w := newWorld(t, packet.V5, everything)
	w.source.connect(false, nil)
	w.destination.connect(false, &v5.Properties{ReceiveMaximum: new(uint16(1))})
	w.pipe.Up(w.destination.s)
	notification := &session.Outgoing{Message: session.Message{Topic: "n", Payload: "1", QoS: 1}, ReceivedAt: time.Now()}
	if got := w.destination.s.Publish(notification, time.Now()); got != session.Sent {
		t.Fatal(got)
	}
	w.source.Send(script.Publish(1, 1, "t", "waits"))
	w.source.sync()
	w.destination.Want("PUBLISH 1 qos1 n=1")
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	w.destination.Want("PUBLISH 2 qos1 t=waits")
}

func TestReady_MessageInFlightExpiredOnDisk_TheNextIsSent(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		w := newDiskWorld(t, packet.V5, t.TempDir(), func(o *Options) { o.Disk.TTL = 300 * time.Millisecond })
		w.source.connect(false, nil)
		one := &v5.Properties{ReceiveMaximum: new(uint16(1))}
		w.destination.connect(false, one)
		w.pipe.Up(w.destination.s)
		w.source.Send(script.Publish(1, qos, "t", "old"))
		w.destination.Want(fmt.Sprintf("PUBLISH 1 qos%d t=old", qos))
		w.destination.down()
		eventually(t, func() error {
			w.meter.mu.Lock()
			defer w.meter.mu.Unlock()
			if n := w.meter.dropped[DropExpired]; n != 1 {
				return fmt.Errorf("%d are expired", n)
			}
			return nil
		})
		w.destination.connect(true, one)
		w.pipe.Up(w.destination.s)
		w.source.Send(script.Publish(2, qos, "t", "new"))
		if qos == 2 {
			w.destination.Want("PUBREL 1") // the server may hold it
			w.destination.Send(script.Ack(v5.PUBCOMP, 1, 0))
		}
		w.destination.Want(fmt.Sprintf("PUBLISH 2 qos%d t=new", qos))
	}
}
