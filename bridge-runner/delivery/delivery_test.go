// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// everything forwards all messages at their QoS.
var everything = v1alpha1.Rule{Filter: "#", QoS: ptr.To[int32](2)}

func TestAcknowledgement_DestinationAcknowledges_SourceIsAcknowledgedInOrder(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v, everything)
		w.source.connect(false, nil)
		w.destination.up(false)
		w.source.Send(script.Publish(7, 1, "t", "one"), script.Publish(8, 2, "t", "two"))
		w.destination.Want("PUBLISH 1 qos1 t=one", "PUBLISH 2 qos2 t=two")
		w.source.sync() // nothing is acknowledged yet
		w.destination.Send(script.Ack(v5.PUBREC, 2, 0))
		w.destination.Want("PUBREL 2")
		w.source.sync() // still nothing is acknowledged
		w.destination.Send(script.Ack(v5.PUBCOMP, 2, 0))
		w.destination.sync()
		w.source.sync() // nothing is acknowledged out of order
		w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
		w.source.Want("PUBACK 7", "PUBREC 8")
		w.meter.want(t, "forwarded 2, dropped map[], refused [], resent 0, redelivered 0, held 0, in flight 0")
	})
}

func TestSwitch_UnacknowledgedMessages_AreSentToTheNextServerInOrder(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v, everything)
		first, second := w.destination, newSide(w, v)
		w.source.connect(false, nil)
		first.up(false)
		for id, payload := range []string{"a", "b", "c", "d"} {
			w.source.Send(script.Publish(uint16(id+1), byte(1+id%2), "t", payload))
		}
		first.Want("PUBLISH 1 qos1 t=a", "PUBLISH 2 qos2 t=b", "PUBLISH 3 qos1 t=c", "PUBLISH 4 qos2 t=d")
		first.Send(script.Ack(v5.PUBACK, 3, 0), script.Ack(v5.PUBREC, 2, 0))
		first.Want("PUBREL 2")
		first.down()
		w.source.Send(script.Publish(5, 1, "t", "e"))
		w.source.sync()
		w.meter.want(t, "forwarded 1, dropped map[], refused [], resent 0, redelivered 0, held 5, in flight 0")
		w.destination = second
		second.up(false)
		second.Want("PUBLISH 1 qos1 t=a", "PUBLISH 2 qos2 t=b", "PUBLISH 3 qos2 t=d", "PUBLISH 4 qos1 t=e")
		second.Send(script.Ack(v5.PUBACK, 1, 0))
		w.source.Want("PUBACK 1")
		w.pretendLongConnection()
		second.down()
		w.destination = first
		first.up(true)                                 // the server still has the session, but the messages in flight were sent to the other server
		first.Want("PUBREL 2", "PUBREL 3", "PUBREL 4") // identifiers of messages that it, or a server that shares its sessions, may hold
		first.Send(script.Ack(v5.PUBCOMP, 2, 0), script.Ack(v5.PUBCOMP, 3, 0), script.Ack(v5.PUBCOMP, 4, 0))
		first.Want("PUBLISH 5 qos2 t=b", "PUBLISH 6 qos2 t=d", "PUBLISH 7 qos1 t=e")
		w.meter.want(t, "forwarded 2, dropped map[], refused [], resent 6, redelivered 0, held 4, in flight 3")
	})
}

func TestResume_MessagesInFlight_ContinueInTheSession(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v, everything)
		w.source.connect(false, nil)
		w.destination.up(false)
		w.source.Send(script.Publish(1, 2, "t", "a"), script.Publish(2, 1, "t", "b"), script.Publish(3, 1, "t", "c"))
		w.destination.Want("PUBLISH 1 qos2 t=a", "PUBLISH 2 qos1 t=b", "PUBLISH 3 qos1 t=c")
		w.destination.Send(script.Ack(v5.PUBREC, 1, 0))
		w.destination.Want("PUBREL 1")
		w.destination.down()
		w.source.Send(script.Publish(4, 1, "t", "d"))
		w.source.sync()
		w.destination.connect(true, nil)
		w.destination.Send(script.Ack(v5.PUBCOMP, 1, 0)) // before Up
		w.source.Want("PUBREC 1")
		if got := w.meter.String(); strings.Contains(got, "flight -") {
			t.Error(got)
		}
		w.pipe.Up(w.destination.s)
		w.destination.Want("PUBLISH 2 qos1 dup t=b", "PUBLISH 3 qos1 dup t=c", "PUBLISH 4 qos1 t=d")
		w.destination.Send(script.Ack(v5.PUBACK, 2, 0), script.Ack(v5.PUBACK, 3, 0), script.Ack(v5.PUBACK, 4, 0))
		w.source.Want("PUBACK 2", "PUBACK 3", "PUBACK 4")
		w.meter.want(t, "forwarded 4, dropped map[], refused [], resent 2, redelivered 0, held 0, in flight 0")
	})
}

func TestAcknowledgement_TwoRulesForwardAMessage_IsSentOnceAndInOrder(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v,
			v1alpha1.Rule{Filter: "a/#", Topic: "first", Exclude: []string{"a/x"}},
			v1alpha1.Rule{Filter: "a/#", Topic: "second", Exclude: []string{"a/x"}},
		)
		w.source.connect(false, nil)
		w.destination.up(false)
		w.source.Send(script.Publish(1, 1, "a/1", "1"), script.Publish(2, 1, "a/x", "x"), script.Publish(3, 1, "other", "o"))
		w.destination.Want("PUBLISH 1 qos1 first=1", "PUBLISH 2 qos1 second=1")
		w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
		w.destination.sync()
		w.source.sync() // one of two messages is acknowledged
		w.destination.Send(script.Ack(v5.PUBACK, 2, 0))
		w.source.Want("PUBACK 1", "PUBACK 2", "PUBACK 3") // the dropped messages, behind the first
		w.source.sync()                                   // each is acknowledged once
		w.meter.want(t, "forwarded 2, dropped map[excluded:1 no_rule:1], refused [], resent 0, redelivered 0, held 0, in flight 0")
	})
}

func TestDrop_UndeliverableMessages_AreAcknowledgedInOrder(t *testing.T) {
	w := newWorld(t, packet.V5, everything)
	w.source.connect(false, nil)
	w.destination.connect(false, &v5.Properties{MaximumPacketSize: new(uint32(100))})
	w.pipe.Up(w.destination.s)
	expired := script.Publish(2, 2, "t", "expired")
	expired.Properties = &v5.Properties{MessageExpiry: new(uint32(0))}
	w.source.Send(script.Publish(1, 1, "t", "a"), expired, script.Publish(3, 1, "t", strings.Repeat("x", 100)), script.Publish(4, 1, "t", "refused"), script.Publish(5, 2, "t", "b"))
	w.destination.Want("PUBLISH 1 qos1 t=a", "PUBLISH 2 qos1 t=refused", "PUBLISH 3 qos2 t=b")
	w.destination.Send(script.Ack(v5.PUBACK, 2, 0x87))
	w.destination.sync()
	w.source.sync()
	w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
	w.source.Want("PUBACK 1", "PUBREC 2", "PUBACK 3", "PUBACK 4")
	w.meter.want(t, "forwarded 1, dropped map[expired:1 refused:1 too_large:1], refused [t t], resent 0, redelivered 0, held 1, in flight 1")
}

func TestRedelivery_HeldMessage_IsForwardedOnce(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v, everything)
		w.source.connect(false, nil)
		w.destination.up(false)
		x := script.Publish(7, 1, "t", "x")
		w.source.Send(x)
		w.destination.Want("PUBLISH 1 qos1 t=x")
		w.source.cut()
		w.source.connect(true, nil)
		w.source.Send(script.Duplicate(x), script.Publish(8, 1, "t", "y"))
		w.destination.Want("PUBLISH 2 qos1 t=y")
		w.source.sync()
		w.destination.Send(script.Ack(v5.PUBACK, 1, 0), script.Ack(v5.PUBACK, 2, 0))
		w.source.Want("PUBACK 7", "PUBACK 8")
		w.meter.want(t, "forwarded 2, dropped map[], refused [], resent 0, redelivered 1, held 0, in flight 0")
	})
}

func TestDrop_QoS0Messages_AreCountedByCause(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v,
			v1alpha1.Rule{Filter: "a/#", Exclude: []string{"a/x/#"}},
			v1alpha1.Rule{Filter: "b/#", Topic: "${1}"},
		)
		w.source.connect(false, nil)
		w.source.Send(script.Publish(0, 0, "a/b", "not connected"))
		w.source.sync()
		w.destination.up(false)
		w.source.Send(script.Publish(0, 0, "a/x/y", "excluded"), script.Publish(0, 0, "other", "no rule"), script.Publish(0, 0, "b", "no topic"), script.Publish(0, 0, "a/b", "good"))
		w.destination.Want("PUBLISH qos0 a/b=good")
		drained := make(chan int)
		go func() { drained <- w.pipe.Drain(t.Context()) }()
		if left := <-drained; left != 0 {
			t.Errorf("%d are left", left)
		}
		w.source.Send(script.Publish(0, 0, "a/b", "stopping"), script.Publish(1, 1, "a/b", "kept by its source"))
		w.source.sync()
		w.meter.want(t, "forwarded 1, dropped map[excluded:1 invalid_topic:1 no_rule:1 not_connected:1 stopping:1], refused [], resent 0, redelivered 0, held 0, in flight 0")
	})
}

func TestRoute_QoS1ForwardedAtQoS0_WaitsForTheDestination(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v, v1alpha1.Rule{Filter: "#", QoS: ptr.To[int32](0)})
		w.source.connect(false, nil)
		w.source.Send(script.Publish(1, 1, "t", "kept"), script.Publish(0, 0, "t", "dropped"))
		w.source.sync()
		w.destination.up(false)
		w.flush()
		w.destination.Want("PUBLISH qos0 t=kept")
		w.source.Want("PUBACK 1")
		w.wantNoQoS0()
	})
}

func TestMemory_DestinationReadsNothing_QoS0IsBounded(t *testing.T) {
	w := newWorld(t, packet.V311, everything)
	w.source.connect(false, nil)
	w.destination.up(false) // the server reads nothing
	large := script.Publish(0, 0, "t", strings.Repeat("x", 1<<20))
	const messages = 64
	for range messages {
		w.source.Send(large)
	}
	w.source.sync()
	w.meter.mu.Lock()
	dropped, held := w.meter.dropped[DropQueueFull], w.meter.held
	w.meter.mu.Unlock()
	if dropped == 0 || held > defaultMemoryBytes>>20 {
		t.Errorf("%d dropped, %d held", dropped, held)
	}
	for range messages - dropped {
		w.destination.Next() // the others arrive as the server reads
	}
	w.destination.sync()
	w.wantNoQoS0()
}

func TestWindow_MoreMessagesThanFit_AreSentInOrder(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v, everything)
		w.source = newSide(w, packet.V311) // MQTT 3.1.1 has no receive maximum
		w.source.connect(false, nil)
		w.destination.up(false)
		const messages = 200
		for i := range messages {
			w.source.Send(script.Publish(uint16(i+1), byte(1+i%2), "t", "x"))
		}
		for i := range messages {
			p := w.destination.Next()
			for p.Type != v5.PUBLISH {
				w.destination.Send(script.Ack(v5.PUBCOMP, p.ID, 0))
				p = w.destination.Next()
			}
			if int(p.QoS) != 1+i%2 {
				t.Fatalf("message %d: %s", i, p)
			}
			if p.QoS == 1 {
				w.destination.Send(script.Ack(v5.PUBACK, p.ID, 0))
			} else {
				w.destination.Send(script.Ack(v5.PUBREC, p.ID, 0))
			}
		}
	})
}

func TestDrain_DestinationLost_StopsWaiting(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v, everything)
		w.source.connect(false, nil)
		w.destination.up(false)
		w.source.Send(script.Publish(1, 1, "t", "a"), script.Publish(2, 1, "t", "b"))
		w.destination.Want("PUBLISH 1 qos1 t=a", "PUBLISH 2 qos1 t=b")
		short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if left := w.pipe.Drain(short); left != 2 {
			t.Errorf("%d are left at the deadline, want 2", left)
		}
		drained := make(chan int)
		go func() { drained <- w.pipe.Drain(t.Context()) }()
		w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
		w.source.Want("PUBACK 1")
		w.destination.down()
		if left := <-drained; left != 1 {
			t.Errorf("%d are left, want 1", left)
		}
		w.source.sync() // the message is not acknowledged
	})
}

func TestAcknowledgement_SourceReconnects_IsSentAtRedelivery(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v, everything)
		w.source.connect(false, nil)
		w.destination.up(false)
		x, y := script.Publish(1, 1, "t", "x"), script.Publish(2, 2, "t", "y")
		w.source.Send(x, y)
		w.destination.Want("PUBLISH 1 qos1 t=x", "PUBLISH 2 qos2 t=y")
		w.source.cut()
		w.destination.Send(script.Ack(v5.PUBACK, 1, 0), script.Ack(v5.PUBREC, 2, 0), script.Ack(v5.PUBCOMP, 2, 0))
		w.destination.Want("PUBREL 2")
		w.destination.sync()
		w.source.connect(true, nil)
		w.source.sync()
		w.source.Send(script.Duplicate(x), script.Duplicate(y))
		w.source.Want("PUBACK 1", "PUBREC 2")
		w.destination.sync() // nothing is forwarded again
	})
}
