// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// addReverse adds a pipe to the source, for dead letters. It returns the meter of that
// pipe.
func (w *world) addReverse() *counts {
	meter := &counts{dropped: map[string]int{}}
	w.reverse = New(nil, meter, Options{Flush: w.flush, Unforwardable: w.pipe.opts.Unforwardable})
	w.watch(w.reverse, meter)
	w.pipe.SetReverse(w.reverse)
	w.reverse.SetReverse(w.pipe)
	return meter
}

// upForLetters connects the source and makes it the destination of dead letters.
func (x *side) upForLetters() {
	x.w.t.Helper()
	x.connect(false, nil)
	x.w.reverse.Up(x.s)
}

func TestDeadLetter_MessageThatNoServerTakes_IsAcknowledgedAfterItsDeadLetter(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		t.Parallel()
		w := newWorldWith(t, v, Options{Unforwardable: Unforwardable{DeadLetter: "dead"}}, everything)
		w.addReverse()
		w.source.upForLetters()
		bad := "poison\x01é"
		p := script.Publish(1, 2, bad, "payload")
		if v == packet.V5 {
			p.Properties = &v5.Properties{ContentType: "text", User: []v5.User{{Key: "k", Value: "v"}}, MessageExpiry: new(uint32(100))}
		}
		w.source.Send(p, script.Publish(2, 1, "t", "b"))
		w.source.sync()
		x := w.runServers(ending(bad, 0), nil)
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
		w.source.sync() // neither the message nor the message behind it is acknowledged
		w.source.Send(script.Ack(v5.PUBACK, got.ID, 0))
		w.source.Want("PUBREC 1", "PUBACK 2")
		w.wantGivenUp(FateDeadLetter, bad)
		w.wantDropped(DropUnforwardable, 1)
	})
}

func TestDeadLetter_ThatIsRefused_IsDroppedOnce(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, packet.V5, Options{Unforwardable: Unforwardable{DeadLetter: "dead"}}, everything)
	reverse := w.addReverse()
	w.source.upForLetters()
	w.send(2, 0, 1)
	x := w.runServers(refusing("poison", 0x87, 0), nil)
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
	w.wantGivenUp(FateDeadLetter, "poison")
	x.waitAccepted("t=1")
}

func TestDeadLetter_SourceConnectsAgain_IsSentAgain(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, packet.V5, Options{Unforwardable: Unforwardable{DeadLetter: "dead"}}, everything)
	w.addReverse()
	w.source.upForLetters()
	w.send(1, 0, 1)
	x := w.runServers(refusing("poison", 0x90, 0), nil)
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
	m := deadLetter{&outgoing{}, "dead", diagnosis.MessageTooLarge}.message()
	stored := &outgoing{}
	stored.Message = m
	data, ok := appendStored(nil, stored)
	if !ok {
		t.Fatal("it is not stored")
	}
	read, err := parseStored(data, stored.ReceivedAt)
	if err != nil || !read.isDeadLetter("dead") || read.isDeadLetter("other") {
		t.Errorf("%+v: %v", read, err)
	}
}

func TestDeadLetter_TooLargeMessage_LeavesWithoutASession(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, packet.V5, Options{Unforwardable: Unforwardable{DeadLetter: "dead"}}, everything)
	w.addReverse()
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
	w.wantGivenUp(FateDeadLetter, "a", "b", "c")
	w.wantNoQoS0()
}

// Dead letters that wait for the source's side do not stop the pipe from reading the
// disk.
func TestDeadLetter_SourceIsDown_TheBacklogDrains(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	backlog, want := poisonedBacklog(1)
	store(t, dir, backlog...)
	w := newDiskWorld(t, packet.V5, dir, func(o *Options) { o.Unforwardable.DeadLetter = "dead" })
	w.addReverse()
	x := w.runServers(refusing("poison", 0x87, 0), nil)
	defer x.stop()
	x.waitAccepted(want...)
	w.wantGivenUp(FateDeadLetter, "poison")
}

// The dead letter, which does not expire, replaces the message.
func TestDeadLetter_MessageOnDiskExpiresMeanwhile_IsNotDroppedAgain(t *testing.T) {
	w := newWorldWith(t, packet.V5, Options{Disk: &Disk{Dir: t.TempDir(), Bytes: 4 << 20}, Unforwardable: Unforwardable{DeadLetter: "dead"}}, everything)
	reverse := w.addReverse()
	s := w.pipe.spool // RunSpool does not run: the test calls step and checkTimes
	t.Cleanup(s.closeLog)
	steps := func() {
		for s.step() {
		}
	}
	w.source.connect(false, nil)
	w.source.Send(script.Publish(1, 1, "t", strings.Repeat("x", 200)))
	w.source.sync()
	steps()
	w.source.Want("PUBACK 1") // it is on disk
	w.destination.connect(false, &v5.Properties{MaximumPacketSize: new(uint32(100))})
	w.pipe.Up(w.destination.s)
	w.wantDropped(DropTooLarge, 1)
	s.TTL = 1
	s.checkTimes()
	w.wantDropped(DropTooLarge, 1)
	steps()
	if n := w.pipe.Backlog().Messages; n != 1 {
		t.Errorf("%d messages are on the disk, want 1: its dead letter is not published", n)
	}
	w.reverse.Up(w.source.s)
	w.source.Send(script.Ack(v5.PUBACK, w.source.Next().ID, 0))
	eventually(t, func() error {
		steps()
		if n := w.pipe.Backlog().Messages; n != 0 {
			return fmt.Errorf("%d messages are on the disk; %v", n, reverse)
		}
		return nil
	})
}
