// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// These tests check that the buffer of a large message is not used for another message while its
// payload is needed. They send messages of one size, so that each released buffer is used again.
// With the race detector a released buffer is overwritten at once.

// largePayload returns a payload whose packet has a buffer of its own. Payloads with different
// numbers differ in every word.
func largePayload(n int) string { return strings.Repeat(fmt.Sprintf("%07d ", n), 4<<10) }

// large returns a PUBLISH with a large payload. Its identifier is n, and 0 at QoS 0.
func large(n int, qos byte, topic string) script.Packet {
	id := uint16(n)
	if qos == 0 {
		id = 0
	}
	return script.Publish(id, qos, topic, largePayload(n))
}

// describe returns a packet in the notation of the tests. A large payload is replaced by its number
// if it is unchanged.
func describe(p script.Packet) string {
	if len(p.Payload) > 100 {
		var n int
		payload := p.Payload
		p.Payload = fmt.Sprintf("damaged: %d bytes, %.16q", len(payload), payload)
		if _, err := fmt.Sscanf(payload[:8], "%d ", &n); err == nil && payload == largePayload(n) {
			p.Payload = fmt.Sprint(n)
		}
	}
	return p.String()
}

// wantLarge reads packets from the side's bridge and compares them with the given ones.
func (x *side) wantLarge(want ...string) {
	x.w.t.Helper()
	for _, want := range want {
		if got := describe(x.Next()); got != want {
			x.w.t.Fatalf("%s, want %s", got, want)
		}
	}
}

// reuse forwards messages whose buffers are released at once, so that they overwrite the buffers
// that were released before.
func (w *world) reuse() {
	w.t.Helper()
	const messages = 6
	for n := range messages {
		w.source.Send(large(9000+n, 0, "other"))
	}
	for n := range messages {
		w.destination.wantLarge(fmt.Sprintf("PUBLISH qos0 other=%d", 9000+n))
	}
}

// complete acknowledges a QoS 2 message completely.
func (x *side) complete(id uint16) {
	x.w.t.Helper()
	x.Send(script.Ack(v5.PUBREC, id, 0))
	x.Want(fmt.Sprintf("PUBREL %d", id))
	x.Send(script.Ack(v5.PUBCOMP, id, 0))
}

// After a reconnect, messages continue from the copy that the pipe has.
func TestRelease_DestinationLost_UnacknowledgedMessagesAreSentAgainUnchanged(t *testing.T) {
	for _, c := range []struct {
		name         string
		resumed      bool
		otherServer  bool
		wantAfter    []string
		first, third uint16 // the identifiers of messages 2 and 4 afterwards
	}{
		{"resumed", true, false, []string{"PUBREL 2", "PUBLISH 3 qos1 dup t=3", "PUBLISH 4 qos2 dup t=4"}, 2, 4},
		{"not resumed", false, false, []string{"PUBLISH 1 qos2 t=2", "PUBLISH 2 qos1 t=3", "PUBLISH 3 qos2 t=4"}, 1, 3},
		{"other server", false, true, []string{"PUBLISH 1 qos2 t=2", "PUBLISH 2 qos1 t=3", "PUBLISH 3 qos2 t=4"}, 1, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			versions(t, func(t *testing.T, v packet.Version) {
				w := newWorld(t, v, everything)
				w.source.connect(false, nil)
				w.destination.up(false)
				w.source.Send(large(1, 1, "t"), large(2, 2, "t"), large(3, 1, "t"), large(4, 2, "t"))
				w.destination.wantLarge("PUBLISH 1 qos1 t=1", "PUBLISH 2 qos2 t=2", "PUBLISH 3 qos1 t=3", "PUBLISH 4 qos2 t=4")
				w.destination.Send(script.Ack(v5.PUBACK, 1, 0), script.Ack(v5.PUBREC, 2, 0))
				w.destination.Want("PUBREL 2")
				w.source.Want("PUBACK 1")
				w.reuse()
				w.destination.down()
				if c.otherServer {
					w.destination = newSide(w, v)
				}
				w.destination.up(c.resumed)
				w.destination.wantLarge(c.wantAfter...)
				w.reuse()
				if c.resumed {
					w.destination.Send(script.Ack(v5.PUBCOMP, c.first, 0))
				} else {
					w.destination.complete(c.first)
				}
				w.destination.Send(script.Ack(v5.PUBACK, c.first+1, 0))
				w.destination.complete(c.third)
				w.source.Want("PUBREC 2", "PUBACK 3", "PUBREC 4")
				wantNoBodies(t)
			})
		})
	}
}

// The source recognizes the messages that it sends again by their content.
func TestRelease_SourceConnectsAgain_PendingMessagesAreForwardedOnce(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v, everything)
		w.source.connect(false, nil)
		w.destination.up(false)
		messages := []script.Packet{large(1, 1, "t"), large(2, 2, "t"), large(3, 1, "t"), large(4, 2, "t")}
		w.source.Send(messages...)
		w.destination.wantLarge("PUBLISH 1 qos1 t=1", "PUBLISH 2 qos2 t=2", "PUBLISH 3 qos1 t=3", "PUBLISH 4 qos2 t=4")
		w.source.cut()
		w.destination.Send(script.Ack(v5.PUBACK, 1, 0)) // the source is not connected
		w.destination.complete(2)
		w.destination.sync()
		w.source.connect(true, nil)
		w.reuse()
		for _, m := range messages {
			w.source.Send(script.Duplicate(m))
		}
		w.source.Want("PUBACK 1", "PUBREC 2")
		w.reuse()
		w.destination.Send(script.Ack(v5.PUBACK, 3, 0))
		w.destination.complete(4)
		w.source.Want("PUBACK 3", "PUBREC 4")
		w.meter.mu.Lock()
		forwarded, redelivered := w.meter.forwarded, w.meter.redelivered
		w.meter.mu.Unlock()
		if forwarded != 4+2*6 || redelivered != 4 {
			t.Errorf("%d messages are forwarded and %d redelivered, want 16 and 4", forwarded, redelivered)
		}
		wantNoBodies(t)
	})
}

func TestRelease_DeadLetterWaits_HasTheContent(t *testing.T) {
	for qos := range byte(3) {
		t.Run(fmt.Sprintf("qos=%d", qos), func(t *testing.T) {
			w := newWorldWith(t, packet.V5, Options{Unforwardable: Unforwardable{DeadLetter: "dead"}}, everything)
			w.addReverse()
			w.source.connect(false, nil)
			w.destination.connect(false, &v5.Properties{MaximumPacketSize: new(uint32(len(largePayload(1)) + 20))})
			w.pipe.Up(w.destination.s)
			poison := large(1, qos, "a/longer/topic/than/the/others")
			poison.Properties = &v5.Properties{User: []v5.User{{Key: "key", Value: "value"}}}
			w.source.Send(poison)
			w.reuse()
			w.reverse.Up(w.source.s)
			w.flush()
			p := w.source.Next()
			if got, want := describe(p), fmt.Sprintf("PUBLISH %d qos1 dead=1", p.ID); got != want {
				t.Fatalf("%s, want %s", got, want)
			}
			if u := p.Properties.User; len(u) != 4 || u[0] != (v5.User{Key: "key", Value: "value"}) || u[1].Value != poison.Topic {
				t.Errorf("user properties %v", u)
			}
			w.reuse()
			w.source.Send(script.Ack(v5.PUBACK, p.ID, 0))
			if qos > 0 {
				w.source.Want(map[byte]string{1: "PUBACK 1", 2: "PUBREC 1"}[qos])
			}
			w.source.sync()
			wantNoBodies(t)
		})
	}
}

// The dead letter settles when it is on disk, and is in flight from memory then.
func TestRelease_DeadLetterOnDisk_IsSentAgainUnchanged(t *testing.T) {
	w := newWorldWith(t, packet.V5, Options{Unforwardable: Unforwardable{DeadLetter: "dead"}}, everything)
	meter := &counts{dropped: map[string]int{}}
	w.reverse = New(nil, meter, Options{Flush: w.flush, Disk: &Disk{
		Dir: t.TempDir(), Bytes: 64 << 20, WhenFull: v1alpha1.WhenFullBlock, OnStateChange: func(v1alpha1.BacklogState, string) {},
	}})
	w.watch(w.reverse, meter)
	w.pipe.SetReverse(w.reverse)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		w.reverse.RunSpool(ctx)
		close(stopped)
	}()
	t.Cleanup(func() {
		cancel()
		<-stopped
	})
	w.source.upForLetters()
	w.destination.connect(false, &v5.Properties{MaximumPacketSize: new(uint32(len(largePayload(1)) + 20))})
	w.pipe.Up(w.destination.s)
	w.source.Send(large(1, 1, "a/longer/topic/than/the/others"))
	w.source.wantLarge("PUBLISH 1 qos1 dead=1", "PUBACK 1") // the dead letter is on disk
	w.reuse()
	w.source.cut()
	w.reverse.Down(w.source.s)
	w.source.connect(true, nil)
	w.reverse.Up(w.source.s)
	w.flush()
	w.source.wantLarge("PUBLISH 1 qos1 dup dead=1")
	w.reuse()
	w.source.Send(script.Ack(v5.PUBACK, 1, 0))
	w.source.sync()
	wantNoBodies(t)
}

// A report outlives the message that it names.
func TestRelease_ReportsOfDroppedMessages_KeepTheTopic(t *testing.T) {
	w := newWorld(t, packet.V5, everything)
	w.source.connect(false, nil)
	w.destination.connect(false, &v5.Properties{MaximumPacketSize: new(uint32(len(largePayload(1)) + 20))})
	w.pipe.Up(w.destination.s)
	w.source.Send(large(1, 1, "a/longer/topic/than/the/others"), large(0, 0, "another/topic/that/is/longer"))
	w.source.Want("PUBACK 1")
	w.reuse()
	w.wantGivenUp(FateDropped, "a/longer/topic/than/the/others", "another/topic/that/is/longer")
	wantNoBodies(t)
}

func TestRelease_SeveralRules_EachMessageHasTheContent(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v, everything, v1alpha1.Rule{Filter: "t", Topic: "copy/${topic}", QoS: ptr.To[int32](1)})
		w.source.connect(false, nil)
		w.destination.up(false)
		w.source.Send(large(1, 2, "t"))
		w.destination.wantLarge("PUBLISH 1 qos2 t=1", "PUBLISH 2 qos1 copy/t=1")
		w.destination.complete(1)
		w.destination.sync()
		w.reuse()
		w.destination.down()
		w.destination.up(true)
		w.destination.wantLarge("PUBLISH 2 qos1 dup copy/t=1")
		w.destination.Send(script.Ack(v5.PUBACK, 2, 0))
		w.source.Want("PUBREC 1")
		wantNoBodies(t)
	})
}

// The first copy fills the session's buffer, so the second is sent after the first is done.
func TestRelease_SeveralRulesAtQoS0_TheLastOneHasTheContent(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v, everything, v1alpha1.Rule{Filter: "t", Topic: "copy/${topic}", QoS: ptr.To[int32](0)})
		w.source.connect(false, nil)
		w.destination.up(false)
		payload := func(n int) string { return strings.Repeat(fmt.Sprintf("%07d ", n), 25_000) }
		for n := range 8 {
			w.source.Send(script.Publish(0, 0, "t", payload(n)))
		}
		for n := range 8 {
			for _, topic := range []string{"t", "copy/t"} {
				if p := w.destination.Next(); p.Topic != topic || p.Payload != payload(n) {
					t.Fatalf("%s=%.16q instead of %s=%.16q", p.Topic, p.Payload, topic, payload(n))
				}
			}
		}
		w.source.sync()
		wantNoBodies(t)
	})
}

func TestRelease_RetainedMessageWithPropertiesAndMapping_ArrivesUnchanged(t *testing.T) {
	w := newWorld(t, packet.V5, everything, v1alpha1.Rule{Filter: "in/+/#", Topic: "out/${2}/${1}", QoS: ptr.To[int32](2), Retain: ptr.To(v1alpha1.RetainKeep)})
	w.source.connect(false, nil)
	w.destination.connect(false, &v5.Properties{TopicAliasMaximum: new(uint16(10))})
	m := large(1, 2, "in/a/b")
	m.Retain = true
	m.Properties = &v5.Properties{
		ContentType: "text/plain", ResponseTopic: "answers", CorrelationData: []byte("correlation"), PayloadFormat: new(byte(1)),
		MessageExpiry: new(uint32(1000)), User: []v5.User{{Key: "key", Value: "value"}},
	}
	w.source.Send(m)
	w.source.sync()
	w.pipe.Up(w.destination.s)
	w.flush()
	w.destination.wantLarge("PUBLISH 1 qos2 retain alias1 in/a/b=1")
	p := w.destination.Next()
	if got := describe(p); got != "PUBLISH 2 qos2 retain alias2 out/b/a=1" {
		t.Error(got)
	}
	if q := p.Properties; q.ContentType != "text/plain" || q.ResponseTopic != "answers" || string(q.CorrelationData) != "correlation" ||
		q.PayloadFormat == nil || q.MessageExpiry == nil || !slices.Equal(q.User, []v5.User{{Key: "key", Value: "value"}}) {
		t.Errorf("properties %+v", q)
	}
	w.destination.complete(1)
	w.destination.complete(2)
	w.source.Want("PUBREC 1")
	w.source.Send(script.Ack(v5.PUBREL, 1, 0))
	w.source.Want("PUBCOMP 1")
	w.source.Send(large(3, 0, "other"), large(4, 0, "other"), large(5, 0, "in/a/b"))
	w.destination.wantLarge("PUBLISH qos0 alias3 other=3", "PUBLISH qos0 alias3 =4", "PUBLISH qos0 alias1 =5", "PUBLISH qos0 alias2 =5")
	wantNoBodies(t)
}

// The newest messages that fit are kept. They use the buffers of the oldest messages.
func TestRelease_OldestQoS0MessagesAreEvicted_TheNewestAreUnchanged(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		const messages, fit = 20, 3
		w := newWorldWith(t, v, Options{MemoryBytes: fit * (len(largePayload(1)) + messageOverhead + 1), BufferQoS0: true}, everything)
		w.source.connect(false, nil)
		for n := range messages {
			w.source.Send(large(n, 0, "t"))
		}
		w.source.sync()
		w.wantDropped(DropBufferFull, messages-fit)
		w.destination.up(false)
		for n := messages - fit; n < messages; n++ {
			w.destination.wantLarge(fmt.Sprintf("PUBLISH qos0 t=%d", n))
		}
		wantNoBodies(t)
	})
}

// The messages between the expired ones do not wait for them, and use their buffers.
func TestRelease_MessagesExpire_TheOthersAreUnchanged(t *testing.T) {
	w := newWorldWith(t, packet.V5, Options{BufferQoS0: true}, everything)
	w.source.connect(false, nil)
	for n := 1; n <= 6; n++ {
		m := large(n, []byte{1, 1, 0, 0, 2, 2}[n-1], "t")
		if n%2 == 1 {
			m.Properties = &v5.Properties{MessageExpiry: new(uint32(1))}
		}
		w.source.Send(m)
	}
	w.source.sync()
	time.Sleep(1100 * time.Millisecond) // the messages 1, 3 and 5 expire
	w.destination.up(false)
	w.destination.wantLarge("PUBLISH 1 qos1 t=2", "PUBLISH qos0 t=4", "PUBLISH 2 qos2 t=6")
	w.wantDropped(DropExpired, 3)
	w.source.Want("PUBACK 1") // the others wait for message 2
	w.reuse()
	w.destination.down()
	w.destination.up(true)
	w.destination.wantLarge("PUBLISH 1 qos1 dup t=2", "PUBLISH 2 qos2 dup t=6")
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	w.destination.complete(2)
	w.source.Want("PUBACK 2", "PUBREC 5", "PUBREC 6")
	wantNoBodies(t)
}

// Messages above the bound stay with the source, and are dropped if it keeps no session.
func TestRelease_BufferFull_HeldMessagesAreUnchanged(t *testing.T) {
	for _, keeps := range []bool{true, false} {
		t.Run(fmt.Sprintf("source keeps its session=%t", keeps), func(t *testing.T) {
			const messages, fit = 6, 3
			w := newWorldWith(t, packet.V5, Options{MemoryBytes: fit * (len(largePayload(1)) + messageOverhead + 1)}, everything)
			var properties *v5.Properties
			if !keeps {
				properties = &v5.Properties{SessionExpiryInterval: new(uint32(0))}
			}
			w.source.connect(false, properties)
			w.destination.up(false)
			for n := 1; n <= messages; n++ {
				w.source.Send(large(n, byte(1+n%2), "t"))
			}
			w.source.sync()
			w.destination.wantLarge("PUBLISH 1 qos2 t=1", "PUBLISH 2 qos1 t=2", "PUBLISH 3 qos2 t=3")
			w.destination.down()
			w.destination.up(true)
			w.destination.wantLarge("PUBLISH 1 qos2 dup t=1", "PUBLISH 2 qos1 dup t=2", "PUBLISH 3 qos2 dup t=3")
			w.destination.complete(1)
			w.destination.Send(script.Ack(v5.PUBACK, 2, 0))
			w.destination.complete(3)
			w.source.Want("PUBREC 1", "PUBACK 2", "PUBREC 3")
			if !keeps {
				w.source.Want("PUBACK 4", "PUBREC 5", "PUBACK 6")
				wantNoBodies(t)
				return
			}
			w.source.wantRenewal()
			w.source.cut()
			w.source.connect(true, nil)
			for n := fit + 1; n <= messages; n++ {
				w.source.Send(script.Duplicate(large(n, byte(1+n%2), "t")))
			}
			w.destination.wantLarge("PUBLISH 4 qos1 t=4", "PUBLISH 5 qos2 t=5", "PUBLISH 6 qos1 t=6")
			w.destination.Send(script.Ack(v5.PUBACK, 4, 0))
			w.destination.complete(5)
			w.destination.Send(script.Ack(v5.PUBACK, 6, 0))
			w.source.Want("PUBACK 4", "PUBREC 5", "PUBACK 6")
			wantNoBodies(t)
		})
	}
}

// A requested switch pauses the old destination, then makes another server the destination.
func TestRelease_SwitchDuringAPause_HeldMessagesAreUnchanged(t *testing.T) {
	for _, abandoned := range []bool{false, true} {
		t.Run(fmt.Sprintf("abandoned=%t", abandoned), func(t *testing.T) {
			versions(t, func(t *testing.T, v packet.Version) {
				w := newWorld(t, v, everything)
				w.source.connect(false, nil)
				w.destination.up(false)
				w.source.Send(large(1, 1, "t"), large(2, 2, "t"))
				w.destination.wantLarge("PUBLISH 1 qos1 t=1", "PUBLISH 2 qos2 t=2")
				w.reuse()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				paused := make(chan int, 1)
				go func() {
					_, left := w.pipe.Pause(ctx, w.destination.s)
					paused <- left
				}()
				eventually(t, func() error {
					w.pipe.mu.Lock()
					defer w.pipe.mu.Unlock()
					if !w.pipe.paused {
						return errors.New("not paused")
					}
					return nil
				})
				w.source.Send(large(3, 1, "t"), large(4, 0, "t"), large(5, 2, "t"))
				w.source.sync()
				old := w.destination
				want := []string{"PUBLISH 1 qos1 t=1", "PUBLISH 2 qos2 t=2", "PUBLISH 3 qos1 t=3", "PUBLISH qos0 t=4", "PUBLISH 4 qos2 t=5"}
				if abandoned { // the server does not acknowledge in time
					cancel()
				} else {
					old.Send(script.Ack(v5.PUBACK, 1, 0))
					old.complete(2)
					w.source.Want("PUBACK 1", "PUBREC 2")
					want = []string{"PUBLISH 1 qos1 t=3", "PUBLISH qos0 t=4", "PUBLISH 2 qos2 t=5"}
				}
				if left := <-paused; (left > 0) != abandoned {
					t.Fatalf("%d messages are left", left)
				}
				w.destination = newSide(w, v)
				w.destination.up(false)
				w.destination.wantLarge(want...)
				old.cut()
				w.pipe.Down(old.s)
				w.reuse()
				id := uint16(1)
				if abandoned {
					w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
					w.destination.complete(2)
					w.source.Want("PUBACK 1", "PUBREC 2")
					id = 3
				}
				w.destination.Send(script.Ack(v5.PUBACK, id, 0))
				w.destination.complete(id + 1)
				w.source.Want("PUBACK 3", "PUBREC 5")
				wantNoBodies(t)
			})
		})
	}
}

func TestRelease_ResumedAfterAPause_MessagesAreUnchanged(t *testing.T) {
	w := newWorld(t, packet.V311, everything)
	w.source.connect(false, nil)
	w.destination.up(false)
	if inflight, left := w.pipe.Pause(t.Context(), w.destination.s); inflight != 0 || left != 0 {
		t.Fatalf("%d in flight, %d left", inflight, left)
	}
	w.source.Send(large(1, 1, "t"), large(2, 0, "t"), large(3, 2, "t"), large(4, 0, "t"))
	w.source.sync()
	w.pipe.Resume(w.destination.s)
	w.destination.wantLarge("PUBLISH 1 qos1 t=1", "PUBLISH qos0 t=2", "PUBLISH 2 qos2 t=3", "PUBLISH qos0 t=4")
	w.reuse()
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	w.destination.complete(2)
	w.source.Want("PUBACK 1", "PUBREC 3")
	wantNoBodies(t)
}

func TestRelease_RulesChange_HeldMessagesAreUnchanged(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v, everything, v1alpha1.Rule{Filter: "t", Topic: "first/${topic}", QoS: ptr.To[int32](1)})
		w.destination.window = 2
		w.source.connect(false, nil)
		w.destination.up(false)
		w.source.Send(large(1, 1, "t"), large(2, 1, "t")) // the messages from 2 wait for room in the window
		w.destination.wantLarge("PUBLISH 1 qos1 t=1", "PUBLISH 2 qos1 first/t=1")
		w.source.sync()
		w.pipe.Update(rules(t, v1alpha1.Rule{Filter: "#", Topic: "second/${topic}", QoS: ptr.To[int32](2)}), w.meter, Options{})
		w.source.Send(large(3, 2, "t"))
		w.source.sync()
		w.destination.Send(script.Ack(v5.PUBACK, 1, 0), script.Ack(v5.PUBACK, 2, 0))
		w.destination.wantLarge("PUBLISH 3 qos1 t=2", "PUBLISH 4 qos1 first/t=2")
		w.source.Want("PUBACK 1")
		w.destination.Send(script.Ack(v5.PUBACK, 3, 0), script.Ack(v5.PUBACK, 4, 0))
		w.destination.wantLarge("PUBLISH 5 qos2 second/t=3")
		w.destination.complete(5)
		w.source.Want("PUBACK 2", "PUBREC 3")
		wantNoBodies(t)
	})
}

// A bridge that is removed leaves its messages with the sources. The end of each test checks the
// buffers.
func TestRelease_BridgeRemoved_KeepsNoBuffer(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v, everything)
		w.source.connect(false, nil)
		w.destination.up(false)
		w.source.Send(large(1, 1, "t"), large(2, 2, "t"), large(3, 1, "t"))
		w.destination.wantLarge("PUBLISH 1 qos1 t=1", "PUBLISH 2 qos2 t=2", "PUBLISH 3 qos1 t=3")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if left := w.pipe.Drain(ctx); left != 3 {
			t.Errorf("%d messages are left", left)
		}
	})
}

// The messages in flight are written to the disk while the destination acknowledges them. In
// every second round the acknowledgements follow the write.
func TestRelease_AcknowledgedWhileTheSpoolWrites_RecordsAreUnchanged(t *testing.T) {
	const rounds, messages = 20, 8
	w := newDiskWorld(t, packet.V311, t.TempDir(), nil)
	w.source.connect(false, nil)
	w.destination.up(false)
	id := uint16(0)
	for round := range rounds {
		for range messages {
			id++
			w.source.Send(large(int(id), 1, "t"))
		}
		var acks []script.Packet
		for n := id - messages + 1; n <= id; n++ {
			p := w.destination.Next()
			if got, want := describe(p), fmt.Sprintf("PUBLISH %d qos1 t=%d", p.ID, n); got != want {
				t.Fatalf("%s, want %s", got, want)
			}
			acks = append(acks, script.Ack(v5.PUBACK, p.ID, 0))
		}
		w.pipe.mu.Lock()
		w.pipe.spool.needLocked()
		w.pipe.mu.Unlock()
		first := id - messages + 1
		if round%2 == 1 {
			w.source.Want(fmt.Sprintf("PUBACK %d", first)) // it is on disk
			first++
		}
		w.destination.Send(acks...)
		for n := first; n <= id; n++ {
			w.source.Want(fmt.Sprintf("PUBACK %d", n))
		}
		w.reuse()
	}
	w.waitState(v1alpha1.BacklogEmpty)
	wantNoBodies(t)
}

func TestRelease_BacklogOnDisk_ArrivesUnchanged(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		const messages = 60
		w := newDiskWorld(t, v, t.TempDir(), func(o *Options) { o.BufferQoS0 = true })
		w.source.connect(false, nil)
		w.destination.up(false)
		w.source.Send(large(1, 1, "t"), large(2, 2, "t"))
		w.destination.wantLarge("PUBLISH 1 qos1 t=1", "PUBLISH 2 qos2 t=2")
		w.reuse()
		w.destination.down()
		w.source.Want("PUBACK 1", "PUBREC 2")
		var acks []string
		for n := 3; n <= messages; n++ {
			m := large(n, byte(n%3), "t")
			w.source.Send(m)
			if m.QoS > 0 {
				acks = append(acks, fmt.Sprintf("%s %d", []string{"", "PUBACK", "PUBREC"}[m.QoS], n))
			}
		}
		w.source.Want(acks...) // they are on disk
		w.source.sync()
		killed := w.restartAfterKill(v)
		for _, w := range []*diskWorld{killed, w} {
			w.destination.up(false)
			for n := 1; n <= messages; {
				p := w.destination.Next()
				switch {
				case p.Type == v5.PUBREL:
					w.destination.Send(script.Ack(v5.PUBCOMP, p.ID, 0))
					continue
				case p.Payload != largePayload(n):
					t.Fatalf("%s, want message %d", describe(p), n)
				case p.QoS == 1:
					w.destination.Send(script.Ack(v5.PUBACK, p.ID, 0))
				case p.QoS == 2:
					w.destination.Send(script.Ack(v5.PUBREC, p.ID, 0))
				}
				n++
			}
		}
	})
}
