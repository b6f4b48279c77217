// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// refusing refuses messages to this topic, the first times of each; times 0 is always.
func refusing(topic string, code byte, times int) func(*script.Conn, script.Packet) bool {
	count := map[string]int{}
	return func(c *script.Conn, p script.Packet) bool {
		if topic != "" && p.Topic != topic || times > 0 && count[p.Payload] >= times {
			return false
		}
		count[p.Payload]++
		reply(c, script.Ack(map[byte]byte{1: v5.PUBACK, 2: v5.PUBREC}[p.QoS], p.ID, code))
		return true
	}
}

func TestRefusal_OfTheMessageItself_OnlyThatIsDropped(t *testing.T) {
	for _, code := range []byte{0x87, 0x90, 0x99} {
		for _, qos := range []byte{1, 2} {
			t.Run(fmt.Sprintf("code=%#x/qos=%d", code, qos), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, packet.V5, everything)
				w.source.connect(false, nil)
				want := w.send(5, 2, qos)
				w.source.sync()
				x := w.play(refusing("poison", code, 0), nil)
				defer x.stop()
				x.awaits(want...)
				w.acknowledged(1, 5, qos)
				w.gaveUp(FateDropped, "poison")
				w.drops(DropRefused, 1)
				x.wantSessions(0)
			})
		}
	}
}

func TestRefusal_Transient_MessageIsKeptAndSentAgain(t *testing.T) {
	for _, code := range []byte{0x80, 0x83, 0x97, 0x91, 0x8F} {
		for _, qos := range []byte{1, 2} {
			t.Run(fmt.Sprintf("code=%#x/qos=%d", code, qos), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, packet.V5, everything)
				w.source.connect(false, nil)
				w.source.Send(script.Publish(1, qos, "t", "a"))
				w.source.sync()
				x := w.play(refusing("", code, 4), nil)
				defer x.stop()
				x.awaits("t=a")
				w.acknowledged(1, 1, qos)
				w.gaveUp(FateDropped)
				w.drops(DropRefused, 0)
				x.wantSessions(0)
			})
		}
	}
}

func TestRefusal_TransientWithoutAWitness_NothingIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.source.connect(false, nil)
	var want []string
	for i := range 3 {
		w.source.Send(script.Publish(uint16(i+1), 1, "t", fmt.Sprint(i)))
		want = append(want, fmt.Sprintf("t=%d", i))
	}
	w.source.sync()
	x := w.play(refusing("", 0x97, mostRefusals), nil) // as often as makes a message unforwardable
	defer x.stop()
	x.awaits(want...)
	w.acknowledged(1, 3, 1)
	w.gaveUp(FateDropped)
}

func TestRefusal_TransientWithAWitness_OnlyThatIsDropped(t *testing.T) {
	for _, code := range []byte{0x80, 0x83, 0x97} {
		t.Run(fmt.Sprintf("code=%#x", code), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, packet.V5, everything)
			w.source.connect(false, nil)
			want := w.send(5, 0, 1)
			w.source.sync()
			x := w.play(refusing("poison", code, 0), nil)
			defer x.stop()
			x.awaits(want...)
			w.acknowledged(1, 5, 1)
			w.gaveUp(FateDropped, "poison")
			w.drops(DropRefused, 1)
			x.mu.Lock()
			defer x.mu.Unlock()
			if n := len(x.packets) - len(want); n != mostRefusals {
				t.Errorf("it was sent %d times, want %d", n, mostRefusals)
			}
		})
	}
}

func TestRefusal_TransientWindowOf1_MessagesBehindItShowWhetherTheServerTakesAny(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.destination.window = 1
	w.source.connect(false, nil)
	want := w.send(3, 0, 1)
	w.source.sync()
	x := w.play(refusing("poison", 0x80, 0), nil)
	defer x.stop()
	x.awaits(want...)
	w.acknowledged(1, 3, 1)
	w.gaveUp(FateDropped, "poison")
}

func TestRefusal_ServerRecoversAfterManyRefusals_NothingIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, packet.V5, everything)
	w.destination.window = 1
	w.source.connect(false, nil)
	w.send(3, -1, 1)
	w.source.sync()
	refused := 0
	x := w.play(func(c *script.Conn, p script.Packet) bool { // all messages, for a while
		refused++
		if refused > mostRefusals {
			return false
		}
		reply(c, script.Ack(v5.PUBACK, p.ID, 0x97))
		return true
	}, nil)
	defer x.stop()
	w.acknowledged(1, 3, 1)
	w.gaveUp(FateDropped)
	w.drops(DropRefused, 0)
}

func TestRefusal_Block_KeepsTheMessageAndThoseBehindIt(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, packet.V5, Options{Unforwardable: Unforwardable{Block: true}}, everything)
	w.destination.window = 1
	w.source.connect(false, nil)
	w.send(3, 1, 1)
	w.source.sync()
	x := w.play(refusing("poison", 0x87, 2), nil)
	defer x.stop()
	x.awaits("t=0")
	w.gaveUp(FateKept, "poison")
	w.retryNow()
	w.gaveUp(FateKept, "poison", "poison") // reported after each attempt
	w.retryNow()
	x.awaits("t=0", "poison=1", "t=2")
	w.acknowledged(1, 3, 1)
	w.drops(DropRefused, 0)
	w.wantUnblocked(1)
}

// letters gives the world a pipe to its source, for dead letters.
func (w *world) letters() *counts {
	meter := &counts{dropped: map[string]int{}}
	w.reverse = New(nil, meter, Options{Flush: w.flush, Unforwardable: w.pipe.opts.Unforwardable})
	w.pipe.SetReverse(w.reverse)
	w.reverse.SetReverse(w.pipe)
	return meter
}

// upForLetters connects the source, and makes it the destination of dead letters.
func (x *side) upForLetters() {
	x.w.t.Helper()
	x.connect(false, nil)
	x.w.reverse.Up(x.s)
}

func TestDeadLetter_MessageThatNoServerTakes_IsAcknowledgedAfterItsDeadLetter(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		t.Parallel()
		w := newWorldWith(t, v, Options{Unforwardable: Unforwardable{DeadLetter: "dead"}}, everything)
		w.letters()
		w.source.upForLetters()
		bad := "poison\x01é"
		p := script.Publish(1, 2, bad, "payload")
		if v == packet.V5 {
			p.Properties = &v5.Properties{ContentType: "text", User: []v5.User{{Key: "k", Value: "v"}}, MessageExpiry: new(uint32(100))}
		}
		w.source.Send(p, script.Publish(2, 1, "t", "b"))
		w.source.sync()
		x := w.play(ending(bad, 0), nil)
		defer x.stop()
		got := w.source.Next()
		if want := fmt.Sprintf("PUBLISH %d qos1 dead=payload", got.ID); got.String() != want {
			t.Fatalf("%s, want %s", got, want)
		}
		if v == packet.V5 {
			var user []string
			for _, u := range got.Properties.User {
				user = append(user, u.Key+"="+u.Value)
			}
			if len(user) != 4 || user[0] != "k=v" || user[1] != `mqttbridge-topic=poison\x01é` || user[2] != "mqttbridge-qos=2" ||
				!strings.HasPrefix(user[3], "mqttbridge-reason=") || len(user[3]) < 30 || got.Properties.ContentType != "text" || got.Properties.MessageExpiry != nil {
				t.Errorf("properties %q, %+v", user, got.Properties)
			}
		}
		w.source.sync() // it is not acknowledged, nor is the message behind it
		w.source.Send(script.Ack(v5.PUBACK, got.ID, 0))
		w.source.Want("PUBREC 1", "PUBACK 2")
		w.gaveUp(FateDeadLetter, bad)
		w.drops(DropUnforwardable, 1)
	})
}

func TestDeadLetter_ThatIsRefused_IsDroppedOnce(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, packet.V5, Options{Unforwardable: Unforwardable{DeadLetter: "dead"}}, everything)
	reverse := w.letters()
	w.source.upForLetters()
	w.send(2, 0, 1)
	x := w.play(refusing("poison", 0x87, 0), nil)
	defer x.stop()
	got := w.source.Next()
	if got.Topic != "dead" {
		t.Fatalf("%s instead of a dead letter", got)
	}
	w.source.Send(script.Ack(v5.PUBACK, got.ID, 0x87))
	w.source.Want("PUBACK 1", "PUBACK 2")
	w.source.sync()
	reverse.mu.Lock()
	dropped, givenUp := reverse.dropped[DropRefused], slices.Clone(reverse.givenUp)
	reverse.mu.Unlock()
	if dropped != 1 || len(givenUp) != 1 || givenUp[0].Fate != FateDropped {
		t.Errorf("%v, given up %+v", reverse, givenUp)
	}
	w.gaveUp(FateDeadLetter, "poison")
	x.awaits("t=1")
}

func TestDeadLetter_SourceConnectsAgain_IsSentAgain(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, packet.V5, Options{Unforwardable: Unforwardable{DeadLetter: "dead"}}, everything)
	w.letters()
	w.source.upForLetters()
	w.send(1, 0, 1)
	x := w.play(refusing("poison", 0x90, 0), nil)
	defer x.stop()
	if got := w.source.Next(); got.Topic != "dead" {
		t.Fatalf("%s instead of a dead letter", got)
	}
	w.source.cut()
	w.reverse.Down(w.source.s)
	w.source.connect(true, nil)
	w.reverse.Up(w.source.s)
	w.source.Send(script.Duplicate(script.Publish(1, 1, "poison", "0")))
	got := w.source.Next()
	if got.Topic != "dead" || !got.Dup {
		t.Fatalf("%s instead of the dead letter", got)
	}
	w.source.Send(script.Ack(v5.PUBACK, got.ID, 0))
	w.source.Want("PUBACK 1")
}

func TestDeadLetter_ByWayOfTheDisk_HasNoDeadLetterOfItsOwn(t *testing.T) {
	m := letter{&outgoing{}, errTooLarge}.message("dead")
	stored := &outgoing{}
	stored.Message = m
	data, ok := appendStored(nil, stored)
	if !ok {
		t.Fatal("it is not stored")
	}
	read, err := parseStored(data, stored.At)
	if err != nil || !read.isDeadLetter("dead") || read.isDeadLetter("other") {
		t.Errorf("%+v: %v", read, err)
	}
}

func TestDeadLetter_TooLargeMessage_LeavesWithoutASession(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, packet.V5, Options{Unforwardable: Unforwardable{DeadLetter: "dead"}}, everything)
	w.letters()
	w.source.upForLetters()
	w.destination.connect(false, &v5.Properties{MaximumPacketSize: new(uint32(100))})
	w.pipe.Up(w.destination.s)
	large := strings.Repeat("x", 200)
	w.source.Send(script.Publish(1, 1, "a", large), script.Publish(2, 1, "b", large), script.Publish(0, 0, "c", large), script.Publish(3, 1, "t", "ok"))
	var ids []uint16
	for _, topic := range []string{"a", "b", "c"} { // in order
		got := w.source.Next()
		if got.Topic != "dead" || got.Payload != large || got.Properties.User[0].Value != topic {
			t.Fatalf("%.100s, %+v", got, got.Properties)
		}
		ids = append(ids, got.ID)
	}
	for _, id := range ids {
		w.source.Send(script.Ack(v5.PUBACK, id, 0))
	}
	w.source.Want("PUBACK 1", "PUBACK 2")
	w.destination.Want("PUBLISH 1 qos1 t=ok")
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	w.source.Want("PUBACK 3")
	w.gaveUp(FateDeadLetter, "a", "b", "c")
	w.wantNoQoS0()
}
