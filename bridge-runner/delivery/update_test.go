// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"maps"
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

// update replaces the rules and the options of the pipe.
func (w *world) update(opts Options, all ...v1alpha1.Rule) {
	w.t.Helper()
	w.pipe.Update(rules(w.t, all...), w.meter, opts)
	w.checkInvariants()
}

func TestUpdate_HeldMessages_KeepTheFormOfTheEarlierRules(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v, v1alpha1.Rule{Filter: "a/#", Topic: "old/${1}"})
		w.destination.window = 1
		w.source.connect(false, nil)
		w.destination.up(false)
		w.source.Send(script.Publish(1, 1, "a/x", "in flight"), script.Publish(2, 1, "a/y", "queued"))
		w.destination.Want("PUBLISH 1 qos1 old/x=in flight")
		w.source.sync()
		w.update(Options{}, v1alpha1.Rule{Filter: "b", QoS: ptr.To[int32](1)}, v1alpha1.Rule{Filter: "a/#", Topic: "new/${1}", Retain: ptr.To(v1alpha1.RetainSet)})
		w.source.Send(script.Publish(3, 1, "a/z", "new"), script.Publish(4, 2, "b", "added"))
		w.source.sync()
		w.destination.down() // the messages are sent again
		w.destination.up(false)
		for i, want := range []string{"old/x=in flight", "old/y=queued", "new/z=new", "b=added"} {
			p := w.destination.Next()
			if got := p.Topic + "=" + p.Payload; got != want || p.QoS != 1 || p.Retain != (i == 2) {
				t.Fatalf("message %d is %s, want %s", i, p, want)
			}
			w.destination.Send(script.Ack(v5.PUBACK, p.ID, 0))
		}
		w.source.Want("PUBACK 1", "PUBACK 2", "PUBACK 3", "PUBREC 4")
		w.meter.want(t, "forwarded 4, dropped map[], refused [], resent 1, redelivered 0, held 0, in flight 0")
	})
}

func TestUpdate_MessagesOnDisk_KeepTheFormOfTheEarlierRules(t *testing.T) {
	w := newDiskWorld(t, packet.V5, t.TempDir(), nil)
	w.source.connect(false, nil)
	w.source.Send(script.Publish(1, 1, "t", "old"))
	w.source.Want("PUBACK 1")
	w.update(Options{}, v1alpha1.Rule{Filter: "+", Topic: "new/${1}"}) // without Options.Disk
	w.source.Send(script.Publish(2, 1, "t", "new"))
	w.source.Want("PUBACK 2") // it is on disk, too
	next := w.restartAfterKill(packet.V5)
	for _, x := range []*diskWorld{w, next} {
		x.destination.up(false)
		x.destination.Want("PUBLISH 1 qos1 t=old", "PUBLISH 2 qos1 new/t=new")
		x.destination.Send(script.Ack(v5.PUBACK, 1, 0), script.Ack(v5.PUBACK, 2, 0))
		x.waitState(v1alpha1.BacklogEmpty)
	}
}

func TestUpdate_OtherMeter_CountsNewEventsByTheNewRules(t *testing.T) {
	w := newWorld(t, packet.V5, v1alpha1.Rule{Filter: "a"}, v1alpha1.Rule{Filter: "b"})
	w.source.connect(false, nil)
	w.destination.up(false)
	w.source.Send(script.Publish(1, 1, "b", "x"))
	w.destination.Want("PUBLISH 1 qos1 b=x")
	next := &counts{dropped: map[string]int{}}
	w.watch(w.pipe, next)
	w.pipe.Update(rules(t, v1alpha1.Rule{Filter: "b"}), next, Options{})
	w.source.Send(script.Publish(2, 1, "b", "y"))
	w.destination.Want("PUBLISH 2 qos1 b=y")
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0), script.Ack(v5.PUBACK, 2, 0))
	w.source.Want("PUBACK 1", "PUBACK 2")
	for _, c := range []struct {
		meter    *counts
		matched  string
		replaced int
	}{{w.meter, "1 routed", 1}, {next, "0 routed", 0}} {
		c.meter.count(func() {
			if !maps.Equal(c.meter.matched, map[string]int{c.matched: 1}) || c.meter.replaced != c.replaced {
				t.Errorf("a meter has %v, want %s, and was replaced %d times, want %d", c.meter.matched, c.matched, c.meter.replaced, c.replaced)
			}
		})
	}
	next.want(t, "forwarded 2, dropped map[], refused [], resent 0, redelivered 0, held 0, in flight 0")
}

func TestUpdate_MessageForARemovedFilter_IsDroppedWithoutAReport(t *testing.T) {
	w := newWorld(t, packet.V5, v1alpha1.Rule{Filter: "a/#"}, v1alpha1.Rule{Filter: "b"})
	w.source.connect(false, nil)
	w.destination.up(false)
	w.update(Options{}, v1alpha1.Rule{Filter: "a/b"})
	w.source.Send(script.Publish(1, 1, "a/c", "x"), script.Publish(2, 1, "b", "x"), script.Publish(3, 1, "c", "x"), script.Publish(0, 0, "a", "x"))
	w.source.Want("PUBACK 1", "PUBACK 2", "PUBACK 3")
	w.source.sync()
	w.wantDropped(DropNoRule, 4)
	w.update(Options{}, v1alpha1.Rule{Filter: "c"})
	w.source.Send(script.Publish(4, 1, "a/c", "x")) // its filter was removed by the Update before
	w.source.Want("PUBACK 4")
	w.meter.mu.Lock()
	defer w.meter.mu.Unlock()
	if want := []string{`no_rule c "a/b"`, `no_rule a/c "c"`}; !slices.Equal(w.meter.unrouted, want) {
		t.Errorf("reported: %q, want %q", w.meter.unrouted, want)
	}
}

func TestUpdate_MemoryChanges_AppliesToMessagesThatArrive(t *testing.T) {
	large := func(id uint16) script.Packet { return script.Publish(id, 1, "t", mostOfMemory) }
	t.Run("raised: the source sends again at once", func(t *testing.T) {
		w := newWorldWith(t, packet.V5, Options{MemoryBytes: smallMemory}, everything)
		w.source.connect(false, nil)
		w.source.Send(large(1), large(2)) // the second is refused
		w.source.sync()
		w.update(Options{MemoryBytes: 3 * smallMemory}, everything)
		w.source.wantRenewal()
	})
	t.Run("lowered: nothing is lost, and nothing is admitted", func(t *testing.T) {
		w := newWorldWith(t, packet.V5, Options{MemoryBytes: 3 * smallMemory}, everything)
		w.source.connect(false, nil)
		w.destination.up(false)
		w.source.Send(large(1), large(2))
		w.destination.Want("PUBLISH 1 qos1 t="+mostOfMemory, "PUBLISH 2 qos1 t="+mostOfMemory)
		w.update(Options{MemoryBytes: smallMemory}, everything)
		w.source.Send(large(3)) // it is refused
		w.source.sync()
		w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
		w.source.Want("PUBACK 1")
		select {
		case <-w.source.s.ReconnectRequested():
			t.Error("the source is renewed, and the refused message does not fit")
		default:
		}
		w.destination.Send(script.Ack(v5.PUBACK, 2, 0))
		w.source.Want("PUBACK 2")
		w.source.wantRenewal()
		w.meter.want(t, "forwarded 2, dropped map[], refused [], resent 0, redelivered 0, held 0, in flight 0")
	})
}

func TestUpdate_DrainRateChangesWhileTheBacklogWaits_AppliesAtOnce(t *testing.T) {
	for name, next := range map[string]DrainRate{"no limit": {}, "a higher limit": {Messages: 1000}} {
		t.Run(name, func(t *testing.T) {
			const messages = 20
			w := newWorldWith(t, packet.V5, Options{Drain: DrainRate{Bytes: 1}}, everything)
			w.source.connect(false, nil)
			for i := range messages {
				w.source.Send(script.Publish(uint16(i+1), 1, "t", strings.Repeat("x", 100)))
			}
			w.source.sync()
			w.destination.window = messages
			w.destination.up(false)
			w.destination.Next() // the next message has to wait for 100 seconds
			w.update(Options{Drain: next}, everything)
			for range messages - 1 {
				w.destination.Next()
			}
		})
	}
}

func TestUpdate_QoS0WhenDownChangesWhileDown_KeepsTheMessagesThatWait(t *testing.T) {
	w := newWorldWith(t, packet.V5, Options{BufferQoS0: true}, everything)
	w.source.connect(false, nil)
	send := func(payload string) {
		w.source.Send(script.Publish(0, 0, "t", payload))
		w.source.sync()
	}
	send("kept")
	w.update(Options{}, everything)
	send("dropped")
	if b := w.pipe.Backlog(); b.Messages != 1 {
		t.Errorf("the backlog has %d messages, want 1", b.Messages)
	}
	w.update(Options{BufferQoS0: true}, everything)
	send("kept, too")
	w.wantDropped(DropNotConnected, 1)
	w.destination.up(false)
	w.destination.Want("PUBLISH qos0 t=kept", "PUBLISH qos0 t=kept, too")
	w.wantNoQoS0()
}

func TestUpdate_PausedPipe_SendsNothingUntilItResumes(t *testing.T) {
	w := newWorldWith(t, packet.V5, Options{Drain: DrainRate{Bytes: 1}}, everything)
	w.source.connect(false, nil)
	w.destination.up(false)
	if inflight, left := w.pipe.Pause(t.Context(), w.destination.s); inflight+left != 0 {
		t.Fatalf("%d in flight, %d left", inflight, left)
	}
	w.source.Send(script.Publish(1, 1, "t", "old"))
	w.source.sync()
	w.update(Options{}, v1alpha1.Rule{Filter: "+", Topic: "new/${1}"})
	w.source.Send(script.Publish(2, 1, "t", "new"))
	w.source.sync()
	w.destination.sync() // nothing has arrived before
	w.pipe.Resume(w.destination.s)
	w.destination.Want("PUBLISH 1 qos1 t=old", "PUBLISH 2 qos1 new/t=new")
}

func TestUpdate_StoppingPipe_DrainsAndLeavesNewMessagesAtTheSource(t *testing.T) {
	w := newWorld(t, packet.V5, everything)
	w.destination.window = 1
	w.source.connect(false, nil)
	w.destination.up(false)
	w.source.Send(script.Publish(1, 1, "t", "a"), script.Publish(2, 1, "t", "b"))
	w.destination.Want("PUBLISH 1 qos1 t=a")
	w.source.sync()
	drained := make(chan int)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { drained <- w.pipe.Drain(ctx) }()
	eventually(t, func() error {
		w.pipe.mu.Lock()
		defer w.pipe.mu.Unlock()
		if !w.pipe.stopping {
			return errors.New("the pipe does not drain")
		}
		return nil
	})
	w.update(Options{}, v1alpha1.Rule{Filter: "+", Topic: "new/${1}"})
	w.source.Send(script.Publish(3, 1, "t", "c"))
	w.source.sync()
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	w.destination.Want("PUBLISH 2 qos1 t=b")
	w.destination.Send(script.Ack(v5.PUBACK, 2, 0))
	w.source.Want("PUBACK 1", "PUBACK 2")
	if left := <-drained; left != 0 {
		t.Errorf("%d messages are left", left)
	}
	w.source.sync() // the third is not acknowledged
}
