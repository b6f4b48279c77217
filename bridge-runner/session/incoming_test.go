// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"slices"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

func TestInbound_EachQoS_ReceivedAndAcknowledgedInOrder(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		l.c.Send(script.Publish(0, 0, "t", "a"), script.Publish(1, 1, "t", "b"), script.Publish(2, 2, "t", "c"), script.Publish(3, 1, "t", "d"))
		l.want("received a", "received b", "received c", "received d") // [MQTT-4.6.0-6]
		l.sync()                                                       // nothing was acknowledged
		l.ack("a", "b", "c", "d")
		l.c.Want("PUBACK 1", "PUBREC 2", "PUBACK 3") // [MQTT-4.3.2-4], [MQTT-4.3.3-8], [MQTT-4.6.0-2]
		l.c.Send(script.Ack(v5.PUBREL, 2, 0))
		l.c.Want("PUBCOMP 2") // [MQTT-4.3.3-11]
		l.c.Send(script.Publish(2, 2, "t", "e"))
		l.want("received e") // [MQTT-4.3.3-12]
	})
}

func TestInbound_PendingMessageSentAgain_IsRedelivered(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		one, exact := script.Publish(1, 1, "t", "one"), script.Publish(2, 2, "t", "exact")
		l.c.Send(one, exact)
		l.want("received one", "received exact")
		for range 2 { // on other connections
			l.cut()
			in := l.in
			l = p.resume()
			l.inherit(in)
			l.c.Send(script.Duplicate(one), script.Duplicate(exact))
			l.want("redelivered one", "redelivered exact")
		}
		l.ack("one", "exact")
		l.c.Want("PUBACK 1", "PUBREC 2")
		l.c.Send(script.Duplicate(exact)) // the PUBREC was late
		l.want("redelivered exact")
		l.c.Want("PUBREC 2") // [MQTT-4.3.3-10]
		l.cut()
		l = p.resume()
		l.c.Send(script.Duplicate(exact))
		l.want("redelivered exact") // [MQTT-4.3.3-10]: exactly once across connections
		l.c.Want("PUBREC 2")
		l.c.Send(script.Ack(v5.PUBREL, 2, 0))
		l.c.Want("PUBCOMP 2")
	})
}

func TestAck_AfterConnectionEnds_SentWhenServerSendsAgain(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		one, exact := script.Publish(1, 1, "t", "one"), script.Publish(2, 2, "t", "exact")
		l.c.Send(one, exact)
		l.want("received one", "received exact")
		l.cut()
		l.ack("one", "exact") // while there is no connection
		l = p.resume()
		l.sync() // nothing was acknowledged
		l.c.Send(script.Duplicate(one), script.Duplicate(exact), script.Publish(3, 1, "t", "new"))
		l.want("redelivered one", "redelivered exact", "received new")
		l.c.Want("PUBACK 1", "PUBREC 2")
		l.cut()
		in := l.in
		l = p.new() // the server has not kept the session
		l.inherit(in)
		l.c.Send(script.Publish(3, 1, "t", "other"))
		l.want("received other")
		l.ack("new")
		l.sync() // its identifier belongs to another message now
		l.ack("other")
		l.c.Want("PUBACK 3")
	})
}

func TestPubrel_UnknownIdentifier_AnsweredByPubcomp(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		l.sync() // PUBCOMP, with 0x92 in MQTT 5: section 3.7.2.1
		l.c.Send(script.Publish(1, 2, "t", "x"))
		l.want("received x")
		l.ack("x")
		l.c.Want("PUBREC 1")
		l.c.Send(script.Ack(v5.PUBREL, 1, 0), script.Ack(v5.PUBREL, 1, 0))
		again := "PUBCOMP 1"
		if p.v5() {
			again = "PUBCOMP 1 0x92"
		}
		l.c.Want("PUBCOMP 1", again)
	})
}

// A server that renumbers messages (RabbitMQ does) sends pending messages under other
// identifiers. No new message may be treated as pending, even if its content is equal.
func TestInbound_ServerRenumbersMessages_NoneIsLost(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second []string // payloads, by identifier
		pending       int      // number of messages at the end of first that are not acknowledged
		want          []string // received on the second connection
	}{
		{"others", []string{"1", "2", "3"}, []string{"3", "4", "5"}, 1, []string{"3", "4", "5"}},
		{"all pending", []string{"1", "2", "3"}, []string{"2", "3", "4"}, 2, []string{"2", "3", "4"}},
		{"alike in another place", []string{"0", "0", "on"}, []string{"on", "off", "on"}, 1, []string{"on", "off", "on"}},
		{"the same numbers", []string{"1", "2", "3"}, []string{"1", "2", "3"}, 3, nil},
	} {
		for _, qos := range []byte{1, 2} {
			t.Run(c.name, func(t *testing.T) {
				versions(t, func(_ *testing.T, p *peer) {
					l := p.new()
					for i, payload := range c.first {
						l.c.Send(script.Publish(uint16(i+1), qos, "t", payload))
						l.want("received " + payload)
					}
					for i, payload := range c.first[:len(c.first)-c.pending] {
						l.ack(payload)
						l.c.Next()
						if qos == 2 {
							l.c.Send(script.Ack(v5.PUBREL, uint16(i+1), 0))
							l.c.Next()
						}
					}
					l.cut()
					l = p.resume()
					for i, payload := range c.second {
						l.c.Send(script.Duplicate(script.Publish(uint16(i+1), qos, "t", payload)))
						if slices.Contains(c.want, payload) {
							l.want("received " + payload)
						} else {
							l.want("redelivered " + payload)
						}
					}
				})
			})
		}
	}
}

func TestInbound_MoreThanReceiveMaximum_AreReceived(t *testing.T) { // [MQTT-3.3.4-9]; 3.1.1 has none
	for _, version := range []packet.Version{packet.V311, packet.V5} {
		p := newPeer(t, version)
		p.cfg.Window = 1
		l := p.new()
		l.c.Send(script.Publish(1, 1, "t", "a"), script.Publish(2, 1, "t", "b"))
		l.want("received a", "received b")
	}
}

func TestInbound_Properties_ReceivedAndPublishable(t *testing.T) {
	l := newPeer(t, packet.V5).new()
	m := script.Publish(0, 0, "t", "x")
	m.Retain = true
	m.Properties = &v5.Properties{
		PayloadFormat: new(byte(1)), MessageExpiry: new(uint32(60)), ContentType: "text/plain", ResponseTopic: "r",
		CorrelationData: []byte("c"), SubscriptionIdentifier: new(7), User: []v5.User{{Key: "k", Value: "1"}, {Key: "k", Value: "2"}},
	}
	l.c.Send(m)
	l.want("received x")
	in := l.in[0]
	if !in.Retain || !slices.Equal(in.Subscriptions, []uint32{7}) || in.ReceivedAt.IsZero() {
		t.Errorf("received %+v", in)
	}
	l.publish(&Outgoing{Message: Message{Topic: "t", Payload: "x", Retain: true, Properties: in.Properties}, ReceivedAt: in.ReceivedAt})
	got := l.c.Next()
	m.Properties.SubscriptionIdentifier = nil                                           // [MQTT-3.3.4-6]
	if got.String() != m.String() || got.Properties.String() != m.Properties.String() { // [MQTT-3.3.2-4] and the following requirements
		t.Errorf("sent %s\n%s\nwant %s", got, got.Properties, m.Properties)
	}
}

// Acknowledgements follow the order of the messages on the current connection, also if the
// handler acknowledged a later message earlier.
func TestAck_ResumedSession_KeepsOrderOfConnection(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		l.c.Send(script.Publish(1, 1, "t", "a"), script.Publish(2, 1, "t", "b"), script.Publish(3, 2, "t", "c"))
		l.want("received a", "received b", "received c")
		l.ack("a")
		l.c.Want("PUBACK 1") // the server does not process it
		pending := l.in
		l.cut()
		for _, in := range pending {
			in.Ack()
		}
		l = p.resume()
		again := func(id uint16, qos byte, payload string) script.Packet {
			p := script.Publish(id, qos, "t", payload)
			p.Dup = true
			return p
		}
		l.c.Send(again(1, 1, "a"), again(2, 1, "b"), again(3, 2, "c"), script.Publish(4, 1, "t", "d"))
		l.want("received a", "redelivered b", "redelivered c", "received d")
		l.ack("d")
		l.sync()
		l.ack("a")
		l.c.Want("PUBACK 1", "PUBACK 2", "PUBREC 3", "PUBACK 4")
	})
}
