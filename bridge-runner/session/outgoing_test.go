// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

func TestPublish_EachQoS_SentAndAcknowledged(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		l.publish(message(0, "a"), message(1, "b"), message(2, "c"), message(1, "d"))
		l.c.Want("PUBLISH qos0 t=a", "PUBLISH 1 qos1 t=b", "PUBLISH 2 qos2 t=c", "PUBLISH 3 qos1 t=d") // [MQTT-2.3.1-1], [MQTT-2.2.1-3] of 5
		l.c.Send(script.Ack(v5.PUBREC, 2, 0), script.Ack(v5.PUBACK, 1, 0))
		l.c.Want("PUBREL 2") // [MQTT-4.3.3-1], [MQTT-4.3.3-4] of 5
		l.want("acknowledged b")
		l.c.Send(script.Ack(v5.PUBCOMP, 2, 0), script.Ack(v5.PUBACK, 3, 0))
		l.want("acknowledged c", "acknowledged d")
	})
}

func TestAcknowledged_MismatchedPacket_IsIgnored(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		l.publish(message(1, "one"), message(2, "two"))
		l.c.Want("PUBLISH 1 qos1 t=one", "PUBLISH 2 qos2 t=two")
		l.c.Send(
			script.Ack(v5.PUBCOMP, 1, 0), // at QoS 1
			script.Ack(v5.PUBCOMP, 2, 0), // before PUBREC
			script.Ack(v5.PUBACK, 9, 0),  // acknowledges no message
			script.Ack(v5.PUBCOMP, 9, 0), // likewise
			script.Ack(v5.PUBACK, 60000, 0),
		)
		l.sync()
		l.wantNoMore()
		l.c.Send(script.Ack(v5.PUBACK, 1, 0))
		l.want("acknowledged one")
		l.c.Send(script.Ack(v5.PUBACK, 2, 0)) // RabbitMQ accepts QoS 2 at QoS 1
		l.want("acknowledged two")
	})
}

func TestPubrec_UnknownIdentifier_AnsweredByPubrel(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		l.c.Send(script.Ack(v5.PUBREC, 7, 0))
		if p.v5() {
			l.c.Want("PUBREL 7 0x92") // section 3.6.2.1 of 5
		} else {
			l.c.Want("PUBREL 7") // [MQTT-4.3.3-1]
		}
	})
}

func TestAcknowledged_ReasonCodes_RefusalsAreExplained(t *testing.T) {
	for _, c := range []struct {
		name string
		qos  byte
		ack  script.Packet
		want string // "": the session ends
	}{ // [MQTT-4.3.2-3], [MQTT-4.3.3-4] of 5
		{"no subscribers at QoS 1", 1, script.Ack(v5.PUBACK, 1, 0x10), "acknowledged x"},
		{"no subscribers at QoS 2", 2, script.Ack(v5.PUBREC, 1, 0x10), "PUBREL 1"},
		{"not authorised at QoS 1", 1, script.Ack(v5.PUBACK, 1, 0x87), `refused x: the server does not authorise the bridge to publish to "t" (reason code 0x87); allow the bridge's user to publish to it, or change the rule's topic`},
		{"not authorised at QoS 2", 2, script.Ack(v5.PUBREC, 1, 0x87), `refused x: the server does not authorise the bridge to publish to "t" (reason code 0x87); allow the bridge's user to publish to it, or change the rule's topic`},
		{"topic", 1, script.Packet{Type: v5.PUBACK, ID: 1, Code: 0x90, Properties: &v5.Properties{ReasonString: "no"}}, `refused x: the server does not accept the topic "t" (reason code 0x90, "no"); change the rule's topic`},
		{"another", 2, script.Ack(v5.PUBREC, 1, 0x83), `refused x: the server refuses a message to "t" (reason code 0x83)`},
		{"an undefined success code, Mochi's", 1, script.Ack(v5.PUBACK, 1, 0x01), "acknowledged x"},
		{"payload format", 1, script.Ack(v5.PUBACK, 1, 0x99), `refused x: the server does not accept the payload of a message to "t": it is not in the format that the message announces (reason code 0x99); correct its publisher`},
		{"quota at QoS 1", 1, script.Ack(v5.PUBACK, 1, 0x97), `refused x: the server's quota is exceeded (reason code 0x97); raise it, or send less`},
		{"quota at QoS 2", 2, script.Ack(v5.PUBREC, 1, 0x97), `refused x: the server's quota is exceeded (reason code 0x97); raise it, or send less`},
		{"an identifier in use", 2, script.Ack(v5.PUBREC, 1, 0x91), `refused x: the server reports that the packet identifier is in use (reason code 0x91); the bridge sends the message again under a new identifier`},
		{"unknown after PUBREL", 0, script.Packet{}, ""}, // below
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newPeer(t, packet.V5).new()
			if c.qos == 0 {
				l.publish(message(2, "x"))
				l.c.Want("PUBLISH 1 qos2 t=x")
				l.c.Send(script.Ack(v5.PUBREC, 1, 0))
				l.c.Want("PUBREL 1")
				l.c.Send(script.Ack(v5.PUBCOMP, 1, 0x92)) // not an error during recovery, section 3.7.2.1
				l.want("acknowledged x")
				return
			}
			l.publish(message(c.qos, "x"))
			l.c.Next()
			l.c.Send(c.ack)
			switch c.want {
			case "PUBREL 1":
				l.c.Want(c.want)
			default:
				l.want(c.want)
			}
		})
	}
}

func TestPublish_WindowAndReceiveMaximum_BoundMessagesInFlight(t *testing.T) {
	maximum := func(n uint16) *v5.Properties { return &v5.Properties{ReceiveMaximum: &n} }
	for _, c := range []struct {
		v          packet.Version
		window     int
		properties *v5.Properties
		want       int
	}{
		{packet.V311, 3, nil, 3},
		{packet.V5, 3, nil, 3},
		{packet.V5, 3, maximum(1), 1}, // [MQTT-3.3.4-7], [MQTT-4.9.0-2]
		{packet.V5, 3, maximum(100), 3},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			p := newPeer(t, c.v)
			p.cfg.Window = c.window
			l := p.connect(script.Connack(false, c.properties))
			for i := range c.want {
				l.publish(message(byte(1+i%2), "m"))
				l.c.Next()
			}
			l.wantResult(Full, message(1, "m"))
			l.wantResult(Full, message(2, "m"))
			l.publish(message(0, "zero")) // [MQTT-3.3.4-8]: QoS 0 does not count
			l.c.Want("PUBLISH qos0 t=zero")
			l.c.Send(script.Ack(v5.PUBACK, 1, 0))
			l.want("acknowledged m")
			l.publish(message(1, "next"))
			l.c.Want(fmt.Sprintf("PUBLISH %d qos1 t=next", c.want+1))
		})
	}
}

// A server of MQTT 3.1.1 announces no limit. Messages of an earlier connection take places, too.
func TestPublish_QoS2Window_BoundsMessagesOfMQTT311(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.Window, p.cfg.QoS2Window = 10, 2
		l := p.new()
		a, b := message(2, "a"), message(2, "b")
		l.publish(a)
		l.publish(b)
		l.c.Want("PUBLISH 1 qos2 t=a")
		l.c.Want("PUBLISH 2 qos2 t=b")
		if p.cfg.Version == packet.V5 {
			l.publish(message(2, "c"))
			l.c.Want("PUBLISH 3 qos2 t=c")
			return
		}
		l.wantResult(Full, message(2, "c"))
		l.wantResult(Full, message(1, "another QoS"))
		l.publish(message(0, "needs no place"))
		l.c.Want("PUBLISH qos0 t=needs no place")
		l.c.Send(script.Ack(v5.PUBREC, 1, 0))
		l.c.Want("PUBREL 1")
		l.wantResult(Full, message(2, "c"))

		l = p.resume()
		l.publish(a)
		l.c.Want("PUBREL 1")
		l.wantResult(Full, message(2, "c")) // the server may hold b
		l.publish(b)
		l.c.Want("PUBLISH 2 qos2 dup t=b")
		l.wantResult(Full, message(1, "c"))
		l.c.Send(script.Ack(v5.PUBCOMP, 1, 0))
		l.want("acknowledged a")
		l.publish(message(1, "c"))
		l.c.Want("PUBLISH 3 qos1 t=c")
		l.publish(message(2, "d"))
		l.c.Want("PUBLISH 4 qos2 t=d")
		l.wantResult(Full, message(1, "e"))
	})
}

// A caller that isolates a message may send another message before the messages in flight. If it had to wait
// for an acknowledgement, it would wait without end.
func TestPublish_QoS2WindowUsedUpByEarlierConnection_FirstMessageIsSent(t *testing.T) {
	p := newPeer(t, packet.V311)
	p.cfg.QoS2Window = 1
	l := p.new()
	a := message(2, "a")
	l.publish(a)
	l.c.Want("PUBLISH 1 qos2 t=a")

	l = p.resume()
	l.publish(message(2, "b"))
	l.c.Want("PUBLISH 2 qos2 t=b")
	l.wantResult(Full, message(2, "c"))
	l.publish(a)
	l.c.Want("PUBLISH 1 qos2 dup t=a")
}

func TestPubrec_RefusesMessage_FreesPlaceInWindow(t *testing.T) {
	one := uint16(1)
	l := newPeer(t, packet.V5).connect(script.Connack(false, &v5.Properties{ReceiveMaximum: &one}))
	l.publish(message(2, "a"))
	l.c.Want("PUBLISH 1 qos2 t=a")
	l.c.Send(script.Ack(v5.PUBREC, 1, 0))
	l.c.Want("PUBREL 1")
	l.wantResult(Full, message(2, "b")) // until PUBCOMP, section 4.9
	l.c.Send(script.Ack(v5.PUBCOMP, 1, 0))
	l.want("acknowledged a")
	l.publish(message(2, "b"))
	l.c.Want("PUBLISH 2 qos2 t=b")
	l.c.Send(script.Ack(v5.PUBREC, 2, 0x80))
	l.want(`refused b: the server refuses a message to "t" (reason code 0x80)`)
	l.publish(message(2, "c"))
	l.c.Want("PUBLISH 3 qos2 t=c")
}

func TestIdentifiers_QoS2InFlight_DoNotWrap(t *testing.T) {
	var o outgoingState
	add := func(qos byte, want uint16) *Outgoing {
		t.Helper()
		id := o.nextID(qos)
		if id != want {
			t.Fatalf("identifier %d, want %d", id, want)
		}
		m := &Outgoing{qos: qos}
		if id > 0 {
			o.add(m, id)
		}
		return m
	}
	for round := range 3 {
		for id := range uint16(maxLowID - 1) {
			o.remove(add(byte(1+round%2), id+1))
		}
		held := add(2, maxLowID)
		if id := o.nextID(2); id != 0 { // the next identifier would be 1
			t.Fatalf("identifier %d", id)
		}
		o.remove(add(1, maxLowID+1+uint16(round))) // QoS 1 need not wait
		o.remove(held)
	}
}

func TestPublish_MessageExpired_IsNotSent(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		m := message(1, "late")
		m.ReceivedAt = time.Now().Add(-10 * time.Second)
		m.Properties = &packet.Properties{Expires: true, Expiry: 10}
		l.wantResult(Expired, m) // [MQTT-3.3.2-5]
		m.Properties = &packet.Properties{Expires: true, Expiry: 100}
		l.publish(m)
		got := l.c.Next()
		if p.v5() {
			if left := *got.Properties.MessageExpiry; left != 90 { // [MQTT-3.3.2-6]
				p.t.Errorf("%d s are left, want 90", left)
			}
		}
	})
}
