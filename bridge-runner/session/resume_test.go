// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

func TestResume_MessagesInFlight_ContinueExchanges(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		a, b, c, d, e := message(1, "a"), message(2, "b"), message(2, "c"), message(1, "d"), message(1, "e")
		l := p.new()
		l.publish(a, b, c, d, e)
		for range 5 {
			l.c.Next()
		}
		l.c.Send(script.Ack(v5.PUBREC, 2, 0), script.Ack(v5.PUBACK, 4, 0))
		l.c.Want("PUBREL 2")
		l.want("acknowledged d")
		l.cut()
		l = p.resume()
		l.publish(a, b, c, e)
		l.c.Want("PUBLISH 1 qos1 dup t=a", "PUBREL 2", "PUBLISH 3 qos2 dup t=c", "PUBLISH 5 qos1 dup t=e") // [MQTT-4.4.0-1], [MQTT-4.6.0-1]
		if !l.s.Resumed() || l.s.Inflight() != 4 {
			t.Errorf("resumed %v, %d in flight", l.s.Resumed(), l.s.Inflight())
		}
		added := message(1, "new")
		l.publish(added)
		l.c.Want("PUBLISH 6 qos1 t=new")
		l.c.Send(script.Ack(v5.PUBACK, 1, 0), script.Ack(v5.PUBCOMP, 2, 0), script.Ack(v5.PUBREC, 3, 0))
		l.want("acknowledged a", "acknowledged b")
		l.c.Want("PUBREL 3")
		l.cut()
		l = p.resume()
		l.publish(c, e, added)
		l.c.Want("PUBREL 3", "PUBLISH 5 qos1 dup t=e", "PUBLISH 6 qos1 dup t=new")
	})
}

func TestResume_ServerLostSession_MessagesAreNew(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		a, b := message(1, "a"), message(2, "b")
		l.publish(a, b)
		l.c.Want("PUBLISH 1 qos1 t=a", "PUBLISH 2 qos2 t=b")
		l.cut()
		l = p.new()
		if n := l.s.Inflight(); n > 0 {
			t.Errorf("%d messages are in flight", n)
		}
		l.publish(a, b)
		l.c.Want("PUBLISH 1 qos1 t=a", "PUBLISH 2 qos2 t=b")
	})
}

func TestResume_LowerReceiveMaximum_BoundsResentMessages(t *testing.T) {
	p := newPeer(t, packet.V5)
	a, b, c, d := message(1, "a"), message(2, "b"), message(1, "c"), message(1, "d")
	l := p.new()
	l.publish(a, b, c, d)
	l.c.Want("PUBLISH 1 qos1 t=a", "PUBLISH 2 qos2 t=b", "PUBLISH 3 qos1 t=c", "PUBLISH 4 qos1 t=d")
	l.cut()
	l = p.connect(script.Connack(true, &v5.Properties{ReceiveMaximum: new(uint16(2))})) // [MQTT-3.3.4-7]
	l.publish(a, b)
	l.c.Want("PUBLISH 1 qos1 dup t=a", "PUBLISH 2 qos2 dup t=b")
	l.wantResult(Full, c)
	l.c.Send(script.Ack(v5.PUBREC, 2, 0))
	l.c.Want("PUBREL 2")
	l.wantResult(Full, c)
	l.c.Send(script.Ack(v5.PUBCOMP, 2, 0))
	l.want("acknowledged b")
	l.publishWhenReady(c)
	l.c.Want("PUBLISH 3 qos1 dup t=c")
	l.wantResult(Full, d)
	l.c.Send(script.Ack(v5.PUBACK, 1, 0))
	l.want("acknowledged a")
	l.publishWhenReady(d)
	l.c.Want("PUBLISH 4 qos1 dup t=d")
	l.wantResult(Full, message(1, "new"))
}

func TestResume_ServerLimitsLowered_MessagesAreNew(t *testing.T) {
	p := newPeer(t, packet.V5)
	large, exact, plain := message(1, strings.Repeat("x", 200)), message(2, "exact"), message(1, "plain")
	l := p.new()
	l.publish(large, exact, plain)
	for range 3 {
		l.c.Next()
	}
	l.cut()
	l = p.connect(script.Connack(true, &v5.Properties{MaximumPacketSize: new(uint32(100)), MaximumQOS: new(byte(1))}))
	l.wantResult(TooLarge, large)                                       // [MQTT-3.2.2-15]
	l.publish(exact, plain)                                             // [MQTT-3.2.2-11]
	l.c.Want("PUBLISH 4097 qos1 t=exact", "PUBLISH 3 qos1 dup t=plain") // at another QoS it is a new message
	l.sync()
}

// qos2IDs returns the identifiers that QoS 2 messages of any process may have.
func qos2IDs() (all []uint16) {
	for id := uint16(1); id <= maxLowID; id++ {
		all = append(all, id)
	}
	for id := uint16(minTrialID); id <= maxTrialID; id++ {
		all = append(all, id)
	}
	return all
}

// pubrels returns the PUBRELs of these identifiers.
func pubrels(ids []uint16) (all []string) {
	for _, id := range ids {
		all = append(all, fmt.Sprintf("PUBREL %d", id))
	}
	return all
}

// sendPubcomps answers the PUBRELs of these identifiers.
func (l *link) sendPubcomps(ids []uint16) {
	for _, id := range ids {
		l.c.Send(script.Ack(v5.PUBCOMP, id, 0))
	}
}

// publishWhenReleased publishes a message that waits until the server has released these identifiers.
func (l *link) publishWhenReleased(m *Outgoing, released []uint16) {
	l.t.Helper()
	l.wantResult(Full, m)
	l.s.flusher.Flush()
	l.c.Want(pubrels(released)...)
	l.sendPubcomps(released)
	l.publishWhenReady(m)
}

func TestStaleQoS2_NewProcess_ReleasedBeforeFirstQoS2Message(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.resume() // this process has not begun the session
		l.publish(message(1, "first"))
		l.c.Want("PUBLISH 4097 qos1 t=first") // QoS 2 messages never have this identifier
		exact := message(2, "exact")
		l.wantResult(Full, exact)
		l.s.flusher.Flush()
		l.c.Want(pubrels(qos2IDs())...)
		l.sendPubcomps(qos2IDs()[1:])
		l.sync()
		l.wantResult(Full, exact) // until the last PUBCOMP
		l.sendPubcomps(qos2IDs()[:1])
		l.publishWhenReady(exact)
		l.c.Want("PUBLISH 1 qos2 t=exact")
		l.sync()
		l.wantNoMore() // an earlier PUBCOMP does not acknowledge the message
		l.c.Send(script.Ack(v5.PUBREC, 1, 0))
		l.c.Want("PUBREL 1")
		l.c.Send(script.Ack(v5.PUBCOMP, 1, 0))
		l.want("acknowledged exact")
		next := message(2, "next")
		l.publish(next)
		l.c.Want("PUBLISH 2 qos2 t=next") // no PUBREL is sent again
		l.cut()
		l = p.resume()
		l.publish(next)
		l.c.Want("PUBLISH 2 qos2 dup t=next")
		l.sync()
	})
}

// Mosquitto counts the QoS 2 messages that it holds. If they use up its max_inflight_messages, it drops a
// QoS 1 message, and acknowledges it in MQTT 3.1.1.
func TestStaleQoS2_NewProcess_ReleasedBeforeFirstQoS1Message(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.PublishQoS = 2
		l := p.resume() // this process has not begun the session
		first := message(1, "first")
		l.publishWhenReleased(first, qos2IDs())
		l.c.Want("PUBLISH 1 qos1 t=first")
		l.c.Send(script.Ack(v5.PUBACK, 1, 0))
		l.want("acknowledged first")
		l.publish(message(1, "second"), message(2, "third"))
		l.c.Want("PUBLISH 2 qos1 t=second", "PUBLISH 3 qos2 t=third") // no PUBREL is sent again
	})
}

// A standby knows the blocks in which the active runner had messages.
func TestStaleQoS2_BlocksKnown_QoS1MessageWaitsForThemOnly(t *testing.T) {
	delayBackgroundReleases(t)
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.PublishQoS = 2
		var blocks Blocks
		blocks.add(1)
		p.cfg.State.AssumeFreeQoS2Blocks(^blocks)
		l := p.resume()
		l.publishWhenReleased(message(1, "x"), qos2IDs()[:blockSize])
		l.c.Want("PUBLISH 4097 qos1 t=x") // the low identifiers of other blocks are not released yet
		l.sync()
	})
}

// A server of MQTT 5 without QoS 2 holds no such message.
func TestStaleQoS2_ServerAnnouncesQoS1_QoS1MessageDoesNotWait(t *testing.T) {
	p := newPeer(t, packet.V5)
	p.cfg.PublishQoS = 2
	l := p.connect(script.Connack(true, &v5.Properties{MaximumQOS: new(byte(1))}))
	l.publish(message(1, "x"), message(2, "y"))
	l.c.Want("PUBLISH 4097 qos1 t=x", "PUBLISH 4098 qos1 t=y")
}

// RabbitMQ stops answering after a PUBREL.
func TestStaleQoS2_LowerQoSGranted_QoS1MessageDoesNotWait(t *testing.T) {
	p := newPeer(t, packet.V311)
	p.cfg.PublishQoS = 2
	l := p.resume()
	l.subscribeAt1()
	l.publish(message(1, "x"))
	l.c.Want("PUBLISH 4097 qos1 t=x")
	l.sync()
}

func TestStaleQoS2_PubrelsUnanswered_QoS1MessageIsSentOnNextConnection(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.PublishQoS = 2
		p.cfg.AckTimeout = 200 * time.Millisecond
		m := message(1, "x")
		l := p.resume()
		l.wantResult(Full, m)
		l.s.flusher.Flush()
		if err := l.wantOver(); err == nil || err.Reason != "AckTimeout" {
			t.Fatalf("ended by %v", err)
		}
		l = p.resume()
		l.publish(m)
		l.c.Want("PUBLISH 4097 qos1 t=x")
	})
}

// RabbitMQ handles no packets after a PUBREL. If the ping timeout is shorter than the acknowledgement timeout, it ends the
// session first.
func TestStaleQoS2_PingAfterPubrelsUnanswered_QoS1MessageIsSentOnNextConnection(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.PublishQoS = 2
		p.cfg.KeepAlive, p.cfg.PingTimeout = 200*time.Millisecond, 200*time.Millisecond
		m := message(1, "x")
		l := p.resume()
		l.wantResult(Full, m)
		l.s.flusher.Flush()
		if err := l.wantOver(); err == nil || err.Reason != "PingTimeout" {
			t.Fatalf("ended by %v", err)
		}
		p.cfg.KeepAlive, p.cfg.PingTimeout = time.Minute, time.Minute
		l = p.resume()
		l.publish(m)
		l.c.Want("PUBLISH 4097 qos1 t=x")
	})
}

// A server that answers no PINGREQ from before the PUBRELs says nothing about QoS 2.
func TestStaleQoS2_PingBeforePubrelsUnanswered_QoS1MessageWaitsOnNextConnection(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.PublishQoS = 2
		p.cfg.KeepAlive, p.cfg.PingTimeout = 200*time.Millisecond, 500*time.Millisecond
		m := message(1, "x")
		l := p.resume()
		l.c.Want("PINGREQ")
		l.wantResult(Full, m)
		l.s.flusher.Flush()
		if err := l.wantOver(); err == nil || err.Reason != "PingTimeout" {
			t.Fatalf("ended by %v", err)
		}
		p.cfg.KeepAlive, p.cfg.PingTimeout = time.Minute, time.Minute
		l = p.resume()
		l.publishWhenReleased(m, qos2IDs())
	})
}

// The bridge returns to a server that holds QoS 2 messages which another server has received meanwhile.
func TestAbandon_QoS2InFlight_ReleasedBeforeFirstQoS1Message(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		l.publish(message(2, "exact"))
		l.c.Want("PUBLISH 1 qos2 t=exact")
		l.cut()
		l.s.State().Abandon(newPeer(t, p.cfg.Version).new().s)
		l = p.resume()
		l.publishWhenReleased(message(1, "plain"), []uint16{1})
		l.c.Want("PUBLISH 2 qos1 t=plain")
	})
}

func TestStaleQoS2_ConnectionLostMeanwhile_IsReleasedAgain(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		m := message(2, "x")
		l := p.resume()
		l.wantResult(Full, m)
		l.s.flusher.Flush()
		l.c.Want(pubrels(qos2IDs())...)
		l.sendPubcomps(qos2IDs()[:100])
		l.sync()
		l.cut() // the server may have read none of the others
		l = p.resume()
		l.wantResult(Full, m)
		l.s.flusher.Flush()
		l.c.Want(pubrels(qos2IDs()[100:])...)
		l.sendPubcomps(qos2IDs()[100:])
		l.publishWhenReady(m)
		l.c.Want("PUBLISH 1 qos2 t=x")
	})
}

func TestStaleQoS2_OtherReceiveMaximum_AllIdentifiersAreReleased(t *testing.T) {
	p := newPeer(t, packet.V5)
	l := p.connect(script.Connack(true, &v5.Properties{ReceiveMaximum: new(uint16(1))}))
	m := message(2, "x")
	l.wantResult(Full, m)
	l.s.flusher.Flush()
	l.c.Want(pubrels(qos2IDs())...)
	l.sendPubcomps(qos2IDs())
	l.publishWhenReady(m)
	l.c.Want("PUBLISH 1 qos2 t=x")
}

func TestStaleQoS2_ServerLostSession_NothingIsReleased(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		m := message(2, "x")
		l := p.resume()
		l.wantResult(Full, m)
		l.cut()
		l = p.new()
		l.publish(m)
		l.c.Want("PUBLISH 1 qos2 t=x")
	})
}

// subscribeAt1 subscribes at QoS 2; the server grants QoS 1.
func (l *link) subscribeAt1() {
	l.t.Helper()
	subscribed := make(chan error, 1)
	go func() { subscribed <- l.s.SetSubscriptions(l.t.Context(), []Subscription{{Filter: "a", QoS: 2}}) }()
	l.c.Send(script.Packet{Type: v5.SUBACK, ID: l.c.Next().ID, Codes: []byte{1}})
	if err := <-subscribed; err != nil {
		l.t.Fatal(err)
	}
}

// wantTrial waits for the trial: the message that shows whether the server supports QoS 2.
// It returns its identifier.
func (l *link) wantTrial(payload string) uint16 {
	l.t.Helper()
	p := l.c.Next()
	if p.Type != v5.PUBLISH || p.QoS != 2 || p.Dup || p.Payload != payload || p.ID < minTrialID || p.ID > maxTrialID {
		l.t.Fatalf("got %v, want the trial %s", p, payload)
	}
	return p.ID
}

func TestStaleQoS2_LowerQoSGrantedAndNoAnswer_TrialIsSent(t *testing.T) { // RabbitMQ stops answering after a PUBREL
	p := newPeer(t, packet.V311)
	l := p.resume()
	l.subscribeAt1()
	x, y := message(2, "x"), message(2, "y")
	l.wantResult(Full, x)
	l.s.flusher.Flush()
	l.c.Want(pubrels(qos2IDs())...)
	<-l.s.ReconnectRequested()
	l.wantResult(Full, x) // not on this connection
	l.cut()
	l = p.resume()
	l.publish(x)
	id := l.wantTrial("x")
	l.wantResult(Full, y) // until the server has answered
	l.c.Send(script.Ack(v5.PUBACK, id, 0))
	l.want("acknowledged x")
	l.publishWhenReady(y)
	l.c.Want("PUBLISH 1 qos2 t=y")
	l.cut()
	l.s.State().Abandon(newPeer(t, p.cfg.Version).new().s)
	l = p.resume()
	l.publish(y)
	l.c.Want("PUBLISH 2 qos2 t=y")
}

func TestStaleQoS2_LowerQoSGrantedByPolicy_IsReleased(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.resume()
		l.subscribeAt1()
		x := message(2, "x")
		l.wantResult(Full, x)
		l.s.flusher.Flush()
		l.c.Want(pubrels(qos2IDs())...)
		l.sendPubcomps(qos2IDs())
		l.publishWhenReady(x)
		l.c.Want("PUBLISH 1 qos2 t=x")
	})
}

func TestStaleQoS2_TrialAccepted_IsReleased(t *testing.T) {
	p := newPeer(t, packet.V311)
	p.cfg.AckTimeout = 200 * time.Millisecond
	x, y := message(2, "x"), message(2, "y")
	l := p.resume()
	l.wantResult(Full, x)
	l.s.flusher.Flush()
	_ = l.wantOver() // nothing was answered
	p.cfg.AckTimeout = time.Minute
	l = p.resume()
	l.publish(x)
	id := l.wantTrial("x")
	l.c.Send(script.Ack(v5.PUBREC, id, 0))
	l.c.Want(fmt.Sprintf("PUBREL %d", id))
	l.c.Send(script.Ack(v5.PUBCOMP, id, 0))
	l.want("acknowledged x")
	l.wantResult(Full, y)
	l.s.flusher.Flush()
	others := slices.DeleteFunc(qos2IDs(), func(other uint16) bool { return other == id })
	l.c.Want(pubrels(others)...)
	l.sendPubcomps(others)
	l.publishWhenReady(y)
	l.c.Want("PUBLISH 1 qos2 t=y")
}

func TestStaleQoS2_PubrelsUnanswered_TrialIsSent(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.AckTimeout = 200 * time.Millisecond
		m := message(2, "x")
		l := p.resume()
		l.wantResult(Full, m)
		l.s.flusher.Flush()
		if err := l.wantOver(); err == nil || err.Reason != "AckTimeout" {
			t.Fatalf("ended by %v", err)
		}
		p.cfg.AckTimeout = time.Minute
		l = p.resume()
		l.publish(m)
		l.wantTrial("x")
	})
}

func TestAbandon_QoS2InFlight_ReleasedAndNotSentAgain(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		m := message(2, "x")
		l.publish(m)
		l.c.Want("PUBLISH 1 qos2 t=x")
		l.cut()
		l.s.State().Abandon(newPeer(t, p.cfg.Version).new().s) // the caller publishes m on another server
		l = p.resume()
		l.sync()
		y := message(2, "y")
		l.wantResult(Full, y)
		l.s.flusher.Flush()
		l.c.Want("PUBREL 1")
		l.c.Send(script.Ack(v5.PUBCOMP, 1, 0))
		l.publishWhenReady(y)
		l.c.Want("PUBLISH 2 qos2 t=y")
		l.cut()
		l.s.State().Abandon(newPeer(t, p.cfg.Version).new().s)
		l = p.new() // a server without the session holds nothing
		l.publish(message(2, "z"))
		l.c.Want("PUBLISH 1 qos2 t=z")
	})
}

// If servers share session state, each server treats the next QoS 2 message under an
// identifier as the message that it holds from the time before the switch, and drops it.
func TestAbandon_SharedSession_ReleasedOnNextServer(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		l.publish(message(1, "x"))
		l.c.Want("PUBLISH 1 qos1 t=x")
		l.c.Send(script.Ack(v5.PUBACK, 1, 0))
		l.want("acknowledged x")
		l.cut()
		other := newPeer(t, p.cfg.Version).new()
		l.s.State().Abandon(other.s)
		z := message(2, "z")
		other.publish(message(1, "y"), z)
		other.c.Want("PUBLISH 1 qos1 t=y", "PUBLISH 2 qos2 t=z")
		other.cut()
		l = p.resume()
		other.s.State().Abandon(l.s)
		l.wantResult(Full, z)
		l.s.flusher.Flush()
		l.c.Want("PUBREL 2")
		l.c.Send(script.Ack(v5.PUBCOMP, 2, 0))
		l.publishWhenReady(z)
		l.c.Want("PUBLISH 2 qos2 t=z")
	})
}

// The bridge leaves a server that has not failed: its connection is open, so that the end of an earlier connection
// says nothing about the messages in flight.
func TestAbandon_ConnectionIsOpen_ReleasedOnNextServerThatBeganTheSharedSession(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.new().cut()
		next := newPeer(p.t, p.cfg.Version)
		next.new().cut() // it begins the session that both servers share
		l := p.resume()
		l.publish(message(2, "x"))
		l.c.Want("PUBLISH 1 qos2 t=x")
		other := next.resume()
		l.s.State().Abandon(other.s)
		other.publishWhenReleased(message(2, "x"), []uint16{1})
		other.c.Want("PUBLISH 1 qos2 t=x")
	})
}

// The earlier process has said that the server holds no messages. Another server has received messages meanwhile, and
// shares its sessions with this one.
func TestAbandon_NextServerIsTrusted_QoS1MessageWaitsForTheRelease(t *testing.T) {
	delayBackgroundReleases(t)
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		l.publish(message(2, "exact"))
		l.c.Want("PUBLISH 1 qos2 t=exact")
		l.cut()
		next := newPeer(p.t, p.cfg.Version)
		next.cfg.PublishQoS = 2
		next.cfg.State.AssumeFreeQoS2Blocks(allBlocks)
		other := next.resume()
		l.s.State().Abandon(other.s)
		other.publishWhenReleased(message(1, "plain"), ids(1, blockSize))
		other.c.Want("PUBLISH 4097 qos1 t=plain")
	})
}

func TestAbandon_QoS1InFlight_NothingIsReleased(t *testing.T) {
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

func TestForget_QoS2InFlight_IsReleased(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		one, two := message(1, "one"), message(2, "two")
		l.publish(one, two)
		l.c.Want("PUBLISH 1 qos1 t=one", "PUBLISH 2 qos2 t=two")
		l.cut()
		l.s.State().Forget(one)
		l.s.State().Forget(two)
		l = p.resume()
		next := message(2, "next")
		l.wantResult(Full, next)
		l.s.flusher.Flush()
		l.c.Want("PUBREL 2")
	})
}

func TestIdentifiers_AllInUse_OnlyLowAtQoS2AndNoneOfSubscribe(t *testing.T) {
	var o outgoingState
	for {
		id := o.nextID(1)
		if id == 0 {
			break
		}
		if id >= minRequestID { // [MQTT-2.3.1-2], [MQTT-2.2.1-3] of 5
			t.Fatalf("message %d has the identifier %d of a SUBSCRIBE", o.count, id)
		}
		o.add(&Outgoing{qos: 1}, id)
	}
	if o.count != maxHighID {
		t.Errorf("%d messages are in flight, want %d", o.count, maxHighID)
	}
	if id := o.nextID(2); id != 0 {
		t.Errorf("a QoS 2 message has the identifier %d", id)
	}
	o.remove(o.get(7))
	if id := o.nextID(2); id != 7 {
		t.Errorf("a QoS 2 message has the identifier %d, want 7", id)
	}
}
