// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"strings"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

func TestAResumedSessionGoesOnWhereItStopped(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		l.publish(message(1, "a"), message(2, "b"), message(2, "c"), message(1, "d"), message(1, "e"))
		for range 5 {
			l.c.Next()
		}
		l.c.Send(script.Ack(v5.PUBREC, 2, 0), script.Ack(v5.PUBACK, 4, 0))
		l.c.Want("PUBREL 2")
		l.want("acknowledged d")
		l.cut()
		l = p.resume()
		l.c.Want("PUBLISH 1 qos1 dup t=a", "PUBREL 2", "PUBLISH 3 qos2 dup t=c", "PUBLISH 5 qos1 dup t=e") // [MQTT-4.4.0-1], [MQTT-4.6.0-1]
		if !l.s.Resumed() || l.s.Resends() != 3 || l.s.Inflight() != 4 {
			t.Errorf("resumed %v, %d resends, %d in flight", l.s.Resumed(), l.s.Resends(), l.s.Inflight())
		}
		l.publish(message(1, "new"))
		l.c.Want("PUBLISH 6 qos1 t=new")
		l.c.Send(script.Ack(v5.PUBACK, 1, 0), script.Ack(v5.PUBCOMP, 2, 0), script.Ack(v5.PUBREC, 3, 0))
		l.want("acknowledged a", "acknowledged b")
		l.c.Want("PUBREL 3")
		l.cut()
		l = p.resume()
		l.c.Want("PUBREL 3", "PUBLISH 5 qos1 dup t=e", "PUBLISH 6 qos1 dup t=new")
	})
}

func TestNothingIsSentAgainWhereTheServerHasNoSession(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		a, b := message(1, "a"), message(2, "b")
		l.publish(a, b)
		l.c.Want("PUBLISH 1 qos1 t=a", "PUBLISH 2 qos2 t=b")
		l.cut()
		if state := l.s.State(); !state.Holds(a) || !state.Holds(b) {
			t.Error("what is in flight is not held")
		}
		l = p.new()
		if state := l.s.State(); state.Holds(a) || state.Holds(b) || l.s.Inflight() > 0 || l.s.Resends() > 0 {
			t.Error("what was in flight is held")
		}
		l.publish(a) // by who chooses, and as a message that is new to the server
		l.c.Want("PUBLISH 1 qos1 t=a")
	})
}

func TestWhatIsSentAgainKeepsToTheReceiveMaximum(t *testing.T) {
	p := newPeer(t, packet.V5)
	l := p.new()
	l.publish(message(1, "a"), message(2, "b"), message(1, "c"), message(1, "d"))
	l.c.Want("PUBLISH 1 qos1 t=a", "PUBLISH 2 qos2 t=b", "PUBLISH 3 qos1 t=c", "PUBLISH 4 qos1 t=d")
	l.cut()
	l = p.connect(script.Connack(true, &v5.Properties{ReceiveMaximum: new(uint16(2))})) // [MQTT-3.3.4-7]
	l.c.Want("PUBLISH 1 qos1 dup t=a", "PUBLISH 2 qos2 dup t=b")
	l.wantResult(Full, message(1, "new"))
	l.c.Send(script.Ack(v5.PUBREC, 2, 0))
	l.c.Want("PUBREL 2")
	l.c.Send(script.Ack(v5.PUBCOMP, 2, 0))
	l.want("acknowledged b")
	l.c.Want("PUBLISH 3 qos1 dup t=c")
	l.wantResult(Full, message(1, "new"))
	l.c.Send(script.Ack(v5.PUBACK, 1, 0))
	l.want("acknowledged a")
	l.c.Want("PUBLISH 4 qos1 dup t=d")
	l.c.Send(script.Ack(v5.PUBACK, 3, 0))
	l.want("acknowledged c")
	l.publish(message(1, "new"))
	l.c.Want("PUBLISH 5 qos1 t=new")
}

func TestWhatTheServerDoesNotTakeAnyMoreIsNotSentAgain(t *testing.T) {
	p := newPeer(t, packet.V5)
	large, exact, plain := message(1, strings.Repeat("x", 200)), message(2, "exact"), message(1, "plain")
	l := p.new()
	l.publish(large, exact, plain)
	for range 3 {
		l.c.Next()
	}
	l.cut()
	l = p.connect(script.Connack(true, &v5.Properties{MaximumPacketSize: new(uint32(100)), MaximumQOS: new(byte(1))}))
	l.c.Want("PUBLISH 3 qos1 dup t=plain")
	if state := l.s.State(); state.Holds(large) || state.Holds(exact) || l.s.Resends() != 1 {
		t.Error("what is not sent is held")
	}
	l.wantResult(TooLarge, large)      // [MQTT-3.2.2-15]
	l.publish(exact)                   // [MQTT-3.2.2-11]
	l.c.Want("PUBLISH 4 qos1 t=exact") // at another QoS it is another message
	l.sync()
}

// sweep is the PUBRELs of a window of 1.
func sweep() (all []string) {
	for id := 1; id <= 16; id++ {
		all = append(all, fmt.Sprintf("PUBREL %d", id))
	}
	return all
}

func TestAnEarlierProcessesMessagesAreReleasedBeforeTheFirstOfQoS2(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.Window = 1
		l := p.resume() // a session that this process has not begun
		l.publish(message(1, "first"))
		l.c.Want("PUBLISH 1 qos1 t=first") // QoS 1 needs no sweep
		l.c.Send(script.Ack(v5.PUBACK, 1, 0))
		l.want("acknowledged first")
		l.publish(message(2, "exact"))
		l.c.Want(append(sweep(), "PUBLISH 1 qos2 t=exact")...)
		for id := uint16(1); id <= 16; id++ {
			l.c.Send(script.Ack(v5.PUBCOMP, id, 0))
		}
		l.sync()
		l.wantNoMore() // a PUBCOMP of the sweep is not one of the message
		l.c.Send(script.Ack(v5.PUBREC, 1, 0))
		l.c.Want("PUBREL 1")
		l.c.Send(script.Ack(v5.PUBCOMP, 1, 0))
		l.want("acknowledged exact")
		l.publish(message(2, "next"))
		l.c.Want("PUBLISH 2 qos2 t=next") // once is enough
		l.cut()
		l = p.resume()
		l.c.Want("PUBLISH 2 qos2 dup t=next")
		l.sync()
	})
}

func TestAServerWithoutQoS2IsNotSwept(t *testing.T) { // RabbitMQ falls silent at it
	versions(t, func(t *testing.T, p *peer) {
		l := p.resume()
		subscribed := make(chan error, 1)
		go func() { subscribed <- l.s.Subscribe(t.Context(), []Subscription{{Filter: "a", QoS: 2}}) }()
		l.c.Send(script.Packet{Type: v5.SUBACK, ID: l.c.Next().ID, Codes: []byte{1}})
		if err := <-subscribed; err != nil {
			t.Fatal(err)
		}
		l.publish(message(2, "x"))
		l.c.Want("PUBLISH 1 qos2 t=x")
		l.cut()
		l.s.State().Abandon(newPeer(t, p.cfg.Version).new().s)
		l = p.resume() // without another SUBSCRIBE
		l.publish(message(2, "y"))
		l.c.Want("PUBLISH 2 qos2 t=y")
	})
}

// A server that holds a QoS 2 message of an earlier process under an identifier takes
// the next QoS 2 message under it for the one that it holds, and drops it.
func TestASweepReleasesTheIdentifiersOfQoS1MessagesToo(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.Window = 2
		l := p.resume()
		l.publish(message(1, "a"), message(2, "b"))
		l.c.Want("PUBLISH 1 qos1 t=a")
		for id := 1; id <= 32; id++ {
			l.c.Want(fmt.Sprintf("PUBREL %d", id))
			l.c.Send(script.Ack(v5.PUBCOMP, uint16(id), 0))
		}
		l.c.Want("PUBLISH 2 qos2 t=b")
		l.sync()
		l.wantNoMore()
		l.c.Send(script.Ack(v5.PUBACK, 1, 0))
		l.want("acknowledged a")
	})
}

func TestWhatIsAbandonedIsNotSentAgainAndIsReleased(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.Window = 1
		l := p.new()
		m := message(2, "x")
		l.publish(m)
		l.c.Want("PUBLISH 1 qos2 t=x")
		l.cut()
		l.s.State().Abandon(newPeer(t, p.cfg.Version).new().s) // another server gets it
		if l.s.State().Holds(m) {
			t.Error("an abandoned message is held")
		}
		l = p.resume()
		l.sync()
		l.publish(message(2, "y"))
		l.c.Want(append(sweep(), "PUBLISH 1 qos2 t=y")...)
		l.cut()
		l.s.State().Abandon(newPeer(t, p.cfg.Version).new().s)
		l = p.new() // a server without the session holds nothing
		l.publish(message(2, "z"))
		l.c.Want("PUBLISH 1 qos2 t=z")
	})
}

// Where servers share their sessions, one takes the next QoS 2 message under an
// identifier for that which it holds since the other was in use, and drops it.
func TestWhatIsAbandonedIsReleasedByTheServerThatTakesItsPlace(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.Window = 1
		l := p.new()
		l.publish(message(1, "x"))
		l.c.Want("PUBLISH 1 qos1 t=x")
		l.c.Send(script.Ack(v5.PUBACK, 1, 0))
		l.want("acknowledged x")
		l.cut()
		other := newPeer(t, p.cfg.Version).new()
		l.s.State().Abandon(other.s)
		other.publish(message(1, "y"), message(2, "z"))
		other.c.Want("PUBLISH 1 qos1 t=y", "PUBLISH 2 qos2 t=z")
		other.cut()
		l = p.resume()
		other.s.State().Abandon(l.s)
		l.publish(message(2, "z"))
		l.c.Want(append(sweep(), "PUBLISH 1 qos2 t=z")...)
	})
}

func TestAbandoningMessagesOfQoS1NeedsNoSweep(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		l.publish(message(1, "x"))
		l.c.Want("PUBLISH 1 qos1 t=x")
		l.cut()
		l.s.State().Abandon(newPeer(t, p.cfg.Version).new().s)
		l = p.resume()
		l.publish(message(2, "y"))
		l.c.Want("PUBLISH 2 qos2 t=y")
	})
}

func TestNoMessageHasTheIdentifierOfASubscribe(t *testing.T) {
	var o out
	for o.window(65535); o.room(); {
		m := &Outgoing{}
		o.add(m)
		if m.id >= subscribeIDs { // [MQTT-2.3.1-2], [MQTT-2.2.1-3] of 5
			t.Fatalf("message %d has the identifier %d of SUBSCRIBE", o.count, m.id)
		}
	}
	if o.count != 65279 {
		t.Errorf("%d messages are in flight, want 65279", o.count)
	}
}
