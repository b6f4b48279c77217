// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// Messages with an invalid topic are acknowledged after the messages that arrived before
// them ([MQTT-4.6.0-2]), and the direction continues.
func TestPipe_MessagesWithInvalidTopics_DroppedAndAcknowledgedInTheirTurn(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v, v1alpha1.Rule{Filter: "#", QoS: new(int32(1))})
		w.source.connect(false, nil)
		w.destination.up(false)
		s := w.source
		s.Send(script.Publish(1, 1, "t", "a"), script.Publish(2, 1, "t/#", "b"), script.Publish(3, 2, "\xff", "c"),
			script.Publish(0, 0, "a\x00b", "d"), script.Publish(4, 1, "", "e"), script.Publish(5, 1, "t", "f"))
		w.destination.Want("PUBLISH 1 qos1 t=a", "PUBLISH 2 qos1 t=f")
		s.sync() // nothing is acknowledged before a
		w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
		s.Want("PUBACK 1", "PUBACK 2", "PUBREC 3", "PUBACK 4")
		s.Send(script.Ack(v5.PUBREL, 3, 0))
		s.Want("PUBCOMP 3")
		w.destination.Send(script.Ack(v5.PUBACK, 2, 0))
		s.Want("PUBACK 5")
		w.meter.want(t, "forwarded 2, dropped map[invalid_topic:4], refused [], resent 0, redelivered 0, held 0, in flight 0")
	})
}

// A rule that makes no valid topic of a message is reported, also if other rules forward
// the message.
func TestPipe_OneOfSeveralRulesMakesNoValidTopic_IsCountedAndReported(t *testing.T) {
	versions(t, func(t *testing.T, v packet.Version) {
		w := newWorld(t, v, v1alpha1.Rule{Filter: "up/#", Topic: "${1}"}, v1alpha1.Rule{Name: "cloud", Filter: "up/+/#", Topic: "cloud/${2}", Exclude: []string{"up/$SYS/x"}})
		w.source.connect(false, nil)
		w.destination.up(false)
		w.source.Send(script.Publish(1, 1, "up/$SYS/x", "a"))
		w.source.Want("PUBACK 1")
		w.meter.want(t, "forwarded 0, dropped map[invalid_topic:1], refused [], resent 0, redelivered 0, held 0, in flight 0")
		w.source.Send(script.Publish(2, 1, "up/$SYS/y", "b"))
		w.destination.Want("PUBLISH 1 qos1 cloud/y=b")
		w.destination.Send(script.Ack(v5.PUBACK, 1, 0))
		w.source.Want("PUBACK 2")
		w.meter.want(t, "forwarded 1, dropped map[invalid_topic:2], refused [], resent 0, redelivered 0, held 0, in flight 0")
		w.source.Send(script.Publish(3, 1, "other", "c"))
		w.source.Want("PUBACK 3")
		w.meter.mu.Lock()
		defer w.meter.mu.Unlock()
		if want := []string{`invalid_topic up/$SYS/x "up/#"`, `invalid_topic up/$SYS/y "up/#"`, `no_rule other "up/#", "up/+/#"`}; !slices.Equal(w.meter.unrouted, want) {
			t.Errorf("reported %q, want %q", w.meter.unrouted, want)
		}
		if want := map[string]int{"0 invalid_topic": 2, "1 excluded": 1, "1 routed": 1}; !maps.Equal(w.meter.matched, want) {
			t.Errorf("the rules matched %v, want %v", w.meter.matched, want)
		}
	})
}

func TestUndeliverable_EachFault_HasItsCause(t *testing.T) {
	for f, want := range map[packet.Faults]string{
		0: "", packet.FaultNoID: "", packet.FaultProperties: "", packet.FaultTopicAlias: "", 1 << 3: "",
		packet.FaultTooLarge: DropTooLarge, packet.FaultTooLarge | packet.FaultTopicNUL: DropTooLarge,
		packet.FaultTopicWildcard: DropInvalidTopic, packet.FaultPropertyLength: DropMalformed,
	} {
		if got := undeliverable(f); got != want {
			t.Errorf("%s: %q, want %q", f, got, want)
		}
	}
}

// Properties count towards the memory that a QoS 0 message needs.
func TestPipe_QoS0MessagesOfManyProperties_CountAgainstTheMemory(t *testing.T) {
	w := newWorldWith(t, packet.V5, Options{MemoryBytes: 100_000, BufferQoS0: true}, v1alpha1.Rule{Filter: "#"})
	w.source.connect(false, nil)
	m := script.Publish(0, 0, "t", "x")
	m.Properties = &v5.Properties{User: []v5.User{{Key: "k", Value: strings.Repeat("v", 20_000)}}}
	for range 10 {
		w.source.Send(m)
	}
	w.source.sync()
	w.meter.mu.Lock()
	defer w.meter.mu.Unlock()
	if w.meter.held != 4 || w.meter.dropped[DropQueueFull]+w.meter.dropped[DropBufferFull] != 6 {
		t.Errorf("%d are held, dropped %v", w.meter.held, w.meter.dropped)
	}
}

// A runner of an earlier version stored messages whose payload is not valid UTF-8
// although they claim that. They are not damaged.
func TestParseStored_PayloadIsNotTheUTF8ThatItClaims_Kept(t *testing.T) {
	m := &outgoing{}
	m.Message = session.Message{Topic: "t", Payload: "\xff", QoS: 1, Properties: &packet.Properties{PayloadUTF8: true, ContentType: "x"}}
	data, ok := appendStored(nil, m)
	if !ok {
		t.Fatal("not stored")
	}
	got, err := parseStored(data, time.Now())
	if err != nil || got.Payload != "\xff" || *got.Properties != (packet.Properties{ContentType: "x"}) {
		t.Errorf("%+v, %v", got, err)
	}
}
