// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// announces connects to a server whose CONNACK has these properties.
func announces(t *testing.T, properties *v5.Properties) *link {
	t.Helper()
	return newPeer(t, packet.V5).connect(script.Connack(false, properties))
}

func TestPublish_MaximumQoSAnnounced_SentAtLowerQoS(t *testing.T) {
	for most, want := range []string{"PUBLISH qos0 t=x", "PUBLISH 1 qos1 t=x"} {
		l := announces(t, &v5.Properties{MaximumQOS: new(byte(most))})
		l.publish(message(2, "x"))
		l.c.Want(want) // [MQTT-3.2.2-11]
	}
}

func TestPublish_RetainUnavailable_SentWithoutRetainFlag(t *testing.T) {
	m := message(1, "x")
	m.Retain = true
	l := announces(t, &v5.Properties{RetainAvailable: new(byte(0))})
	l.publish(m)
	l.c.Want("PUBLISH 1 qos1 t=x") // [MQTT-3.2.2-14]
	if got := ExplainRemarks(l.s.Remarks()); len(got) != 1 || got[0] != "the server does not support retained messages; the bridge sends messages to it without the retain flag" {
		t.Errorf("remarks: %q", got)
	}
	m = message(1, "x")
	m.Retain = true
	l = announces(t, nil)
	l.publish(m)
	l.c.Want("PUBLISH 1 qos1 retain t=x")
}

func TestPublish_MaximumPacketSize_OnlyLargerIsTooLarge(t *testing.T) {
	const most = 100
	for _, c := range []struct {
		qos     byte
		aliases uint16
	}{{0, 0}, {1, 0}, {2, 0}, {0, 10}, {1, 10}, {2, 10}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			p := newPeer(t, packet.V5)
			// A fixed header of 2 bytes, the topic in 3, the identifier and the
			// property length.
			largest := most - 2 - 3 - 1
			if c.qos > 0 {
				largest -= 2
			}
			l := p.connect(script.Connack(false, &v5.Properties{MaximumPacketSize: new(uint32(most)), TopicAliasMaximum: &c.aliases}))
			l.wantResult(TooLarge, message(c.qos, strings.Repeat("x", largest+1))) // [MQTT-3.2.2-15]
			l.publish(message(c.qos, strings.Repeat("x", largest)))
			if got := l.c.Next(); len(got.Payload) != largest || got.Properties.TopicAlias != nil {
				t.Errorf("got %s", got)
			}
			l.publish(message(c.qos, "small"))
			if got := l.c.Next(); got.Payload != "small" || got.Properties.TopicAlias != nil { // the alias would take more bytes than the topic
				t.Errorf("got %s", got)
			}
		})
	}
}

// The largest limit does not fit into an int of a 32-bit machine.
func TestPublish_LargestMaximumPacketSize_LimitsNothing(t *testing.T) {
	for _, most := range []uint32{packet.MaxSize, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			l := announces(t, &v5.Properties{MaximumPacketSize: new(most)})
			l.publish(message(1, "x"))
			l.c.Want("PUBLISH 1 qos1 t=x")
		})
	}
}

func TestAlias_EveryTopicAndPropertyLength_TakesMessagesOfTheMaximumSize(t *testing.T) {
	for length := 1; length <= 8; length++ {
		for _, filler := range []int{0, 117, 118, 119, 120, 121, 122, 123} { // the property length needs a second byte
			for qos := range byte(3) {
				m := message(qos, "x")
				m.Topic = strings.Repeat("t", length)
				if filler > 0 {
					m.Properties = &packet.Properties{User: packet.UserProperties("").With(packet.UserProperty{Value: strings.Repeat("x", filler)})}
				}
				size := packet.SizePublish(packet.V5, &packet.Publish{Topic: m.Topic, Payload: m.Payload, QoS: qos, Properties: m.Properties})
				small := message(qos, "")
				small.Topic = m.Topic
				maximum := max(size, 40) // small has its alias within the maximum
				m.Payload += strings.Repeat("x", maximum-size)
				l := announces(t, &v5.Properties{MaximumPacketSize: new(uint32(maximum)), TopicAliasMaximum: new(uint16(10))})
				again := *m
				l.publish(m, small, &again)
				for _, want := range []*Outgoing{m, small, &again} {
					got := l.c.Next()
					if got.Payload != want.Payload {
						t.Fatalf("topic of %d, properties of %d bytes, QoS %d: got %s", length, filler, qos, got)
					}
					if hasAlias := got.Properties.TopicAlias != nil; hasAlias && length < minAliasedTopic || got.Topic == "" && !hasAlias {
						t.Errorf("topic of %d bytes: got %s", length, got)
					}
				}
			}
		}
	}
}

func TestAlias_TopicOfLargePacket_PacketIsNotKept(t *testing.T) {
	p := newPeer(t, packet.V5)
	l := p.connect(script.Connack(false, &v5.Properties{TopicAliasMaximum: new(uint16(1000))}))
	go func() {
		for {
			if _, err := l.c.TryNext(); err != nil {
				return
			}
		}
	}()
	const messages, large = 500, 100 << 10
	for i := range messages {
		m := message(0, "x")
		received := fmt.Sprintf("topic/%d", i) + strings.Repeat("x", large)
		m.Topic = received[:len(received)-large] // a part of a received packet
		for l.s.Publish(m, time.Now()) == Full {
			l.s.flusher.Flush()
		}
	}
	l.s.flusher.Flush()
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	if memory.HeapAlloc > messages*large/2 {
		t.Errorf("the heap has %d MB", memory.HeapAlloc>>20)
	}
	runtime.KeepAlive(l)
}

func TestAlias_LongTopics_AreBoundedInBytes(t *testing.T) {
	p := newPeer(t, packet.V5)
	l := p.connect(script.Connack(false, &v5.Properties{TopicAliasMaximum: new(uint16(65535))}))
	for i := range 40 {
		p := packet.Publish{Topic: fmt.Sprintf("%060000d", i)}
		l.s.state.mu.Lock()
		l.s.aliasLocked(&p)
		l.s.state.mu.Unlock()
	}
	if n := len(l.s.aliases); n != maxAliasBytes/(60_000+aliasOverhead) {
		t.Errorf("%d topics of 60 kB have an alias", n)
	}
}

func TestAlias_ServerMaximum_BoundsAliasesOfEachConnection(t *testing.T) {
	p := newPeer(t, packet.V5)
	aliases := &v5.Properties{TopicAliasMaximum: new(uint16(2))}
	l := p.connect(script.Connack(false, aliases))
	on := func(topic string) *Outgoing {
		m := message(1, "x")
		m.Topic = topic
		return m
	}
	again := []*Outgoing{on("to/a"), on("to/b"), on("to/c")}
	l.publish(on("to/a"), on("to/b"), on("to/c"))
	l.publish(again...)
	l.c.Want("PUBLISH 1 qos1 alias1 to/a=x", "PUBLISH 2 qos1 alias2 to/b=x", "PUBLISH 3 qos1 to/c=x",
		"PUBLISH 4 qos1 alias1 =x", "PUBLISH 5 qos1 alias2 =x", "PUBLISH 6 qos1 to/c=x") // [MQTT-3.1.2-26], [MQTT-3.3.2-8]
	l.c.Send(script.Ack(v5.PUBACK, 1, 0), script.Ack(v5.PUBACK, 2, 0), script.Ack(v5.PUBACK, 3, 0))
	l.want("acknowledged x", "acknowledged x", "acknowledged x")
	l.cut()
	l = p.connect(script.Connack(true, aliases))
	l.publish(again...)
	l.c.Want("PUBLISH 4 qos1 dup alias1 to/a=x", "PUBLISH 5 qos1 dup alias2 to/b=x", "PUBLISH 6 qos1 dup to/c=x") // [MQTT-3.3.2-7]
	l.cut()
	l = p.connect(script.Connack(true, nil))
	l.publish(again...)
	l.c.Want("PUBLISH 4 qos1 dup to/a=x", "PUBLISH 5 qos1 dup to/b=x", "PUBLISH 6 qos1 dup to/c=x")
}

func TestSubscribe_IdentifiersAvailable_SentOnlyThen(t *testing.T) {
	for _, available := range []byte{1, 0} {
		l := announces(t, &v5.Properties{SubIDAvailable: &available})
		if got := l.s.IdentifiesSubscriptions(); got != (available == 1) {
			t.Errorf("IdentifiesSubscriptions is %v, but the server announced %d", got, available)
		}
		go func() { _ = l.s.SetSubscriptions(t.Context(), []Subscription{{Filter: "a", QoS: 1, ID: 7}}) }()
		if got := l.c.Next().Properties.SubscriptionIdentifier; (got != nil) != (available == 1) { // section 3.2.2.3.12
			t.Errorf("the identifier is %v, but the server announced %d", got, available)
		}
	}
}

func TestKeepAlive_ServerAnnouncesShorter_ReplacesOwn(t *testing.T) {
	p := newPeer(t, packet.V5)
	start := time.Now()
	l := p.connect(script.Connack(false, &v5.Properties{ServerKeepAlive: new(uint16(1))}))
	l.c.Want("PINGREQ") // [MQTT-3.1.2-21]
	if took := time.Since(start); took < 900*time.Millisecond {
		t.Errorf("after %v", took)
	}
	l = p.connect(script.Connack(false, &v5.Properties{ServerKeepAlive: new(uint16(0))}))
	if l.s.keepAlive != time.Minute {
		t.Errorf("the keep alive is %v, want the own one: the server announced none", l.s.keepAlive)
	}
}

func TestConnack_AssignedClientIdentifier_IsIgnored(t *testing.T) {
	p := newPeer(t, packet.V5)
	for range 2 {
		c, done := p.dial()
		if id := c.Next().Connect.ClientID; id != "x" {
			t.Errorf("the client identifier is %q", id)
		}
		c.Send(script.Connack(false, &v5.Properties{AssignedClientID: "y"}))
		if o := <-done; o.err != nil {
			t.Error(o.err)
		} else {
			_ = c.Close()
			o.s.Close()
		}
	}
}
