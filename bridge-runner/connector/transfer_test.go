// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"slices"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// otherID is the client identifier that the tests change bridgeID to.
const otherID = "other"

// newSource returns a side that is connected to the first of its servers, and subscribed to the filter f.
func newSource(t *testing.T, servers int) (x *side, a *script.Conn) {
	t.Helper()
	x = newSide(t, servers)
	filters("f")(&x.Settings)
	x.Failover.RetryMax = 200 * time.Millisecond
	x.run()
	a = x.connect(0)
	subscribed(t, a, []byte{1}, "f")
	x.want("connected 0")
	return x, a
}

// changeClientID changes the client identifier. The channel receives when the change is in effect.
func (x *side) changeClientID(clientID string) (inEffect <-chan struct{}) {
	done := make(chan struct{}, 1)
	x.change(func(s *Settings) {
		s.ClientID = clientID
		s.InEffect = func() { done <- struct{}{} }
	})
	return done
}

// reconnect changes the client identifier on a server that keeps no session: the bridge leaves the connection a,
// and uses the new identifier at once. properties are the properties of CONNACK.
func (x *side) reconnect(a *script.Conn, properties *v5.Properties) {
	x.t.Helper()
	inEffect := x.changeClientID(otherID)
	n := x.accept(0, otherID)
	n.Send(script.Connack(false, properties))
	leave(n)
	x.want("paused", "closing")
	leave(a)
	n = x.accept(0, otherID)
	n.Send(script.Connack(false, properties))
	subscribed(x.t, n, []byte{1}, "f")
	x.want("replaced", "uses "+otherID)
	awaitInEffect(x.t, inEffect)
}

// prepare accepts the connection that subscribes with the new identifier. resumed is Session Present.
func (x *side) prepare(server int, resumed bool, codes ...byte) *script.Conn {
	x.t.Helper()
	c := x.accept(server, otherID)
	c.Send(script.Connack(resumed, nil))
	subscribed(x.t, c, codes, "f")
	return c
}

// ended accepts the connection that ends the session of a client identifier.
func (x *side) ended(server int, clientID string) {
	x.t.Helper()
	c := x.servers[server].Accept()
	if p := c.Next(); p.Connect == nil || p.Connect.ClientID != clientID || !p.Connect.CleanStart {
		x.t.Fatalf("server %d gets %s, want a clean CONNECT of %s", server, p, clientID)
	}
	c.Send(script.Connack(false, nil))
	pong(c)
	leave(c)
}

// pong answers the next packet, which must be a PINGREQ.
func pong(c *script.Conn) {
	c.Want("PINGREQ")
	c.Send(script.Packet{Type: v5.PINGRESP})
}

// complete answers the drain of the earlier session, and accepts the new one, which the server resumes.
func (x *side) complete(server int, earlier *script.Conn) *script.Conn {
	x.t.Helper()
	pong(earlier)
	leave(earlier)
	c := x.accept(server, otherID)
	c.Send(script.Connack(true, nil))
	x.want("replaced", "uses "+otherID)
	return c
}

// The server queues for the new session before the earlier one is unsubscribed, and resends nothing to it
// that the earlier session has before that.
func TestTransfer_ClientIDChanged_SubscribesBeforeItUnsubscribes(t *testing.T) {
	x, a := newSource(t, 1)
	inEffect := x.changeClientID(otherID)
	n := x.prepare(0, false, 1)
	wantUnsubscribe(t, a, "f")
	leave(n)
	pong(a)
	leave(a)
	n = x.accept(0, otherID)
	select {
	case <-inEffect:
		t.Error("in effect before the new session is in use")
	default:
	}
	n.Send(script.Connack(true, nil))
	x.want("replaced", "uses "+otherID)
	awaitInEffect(t, inEffect)
	x.ended(0, bridgeID)
	n.Send(script.Publish(1, 1, "f", "queued")) // no other SUBSCRIBE precedes
	x.wantNone("lost 0")
	x.stop()
	n.Want("DISCONNECT")
}

// acking acknowledges messages when the test says so.
type acking struct {
	ignore
	received chan *session.Inbound
}

func (h acking) Received(in *session.Inbound) { h.received <- in }

// handling is a side whose sessions pass their messages to the test.
type handling struct {
	*side
	received chan *session.Inbound
	flusher  *session.Flusher
}

func (x handling) NewSession(s *session.Session) session.Handler {
	x.side.NewSession(s)
	return acking{received: x.received}
}

// newHandling returns a source whose test receives the messages.
func newHandling(t *testing.T) (x handling, a *script.Conn) {
	t.Helper()
	x = handling{newSide(t, 1), make(chan *session.Inbound, 10), &session.Flusher{}}
	x.Handler = x
	config := x.Servers[0].Config
	x.Servers[0].Config = func() (session.Config, error) {
		cfg, err := config()
		cfg.Flusher = x.flusher
		return cfg, err
	}
	filters("f")(&x.Settings)
	x.run()
	a = x.connect(0)
	subscribed(t, a, []byte{2}, "f")
	x.want("connected 0")
	return x, a
}

func (x handling) ack(all ...*session.Inbound) {
	for _, in := range all {
		in.Ack()
	}
	x.flusher.Flush()
}

func (x handling) receive() *session.Inbound {
	x.t.Helper()
	select {
	case in := <-x.received:
		return in
	case <-time.After(script.Timeout):
		x.t.Fatal("no message arrives")
		return nil
	}
}

// Otherwise the messages that the destination does not have yet would be lost with the earlier session, or
// arrive after newer ones.
func TestTransfer_MessagesOfEarlierSession_AreAcknowledgedFirst(t *testing.T) {
	x, a := newHandling(t)
	a.Send(script.Publish(1, 2, "f", "before"))
	before := x.receive()
	x.changeClientID(otherID)
	n := x.prepare(0, false, 2)
	n.Send(script.Publish(7, 1, "f", "new")) // left at the server
	p := a.Next()
	a.Send(script.Publish(2, 1, "f", "between"), script.Packet{Type: v5.UNSUBACK, ID: p.ID, Codes: []byte{0}})
	between := x.receive()
	leave(n)
	x.ack(before)
	a.Want("PUBREC 1")
	a.Send(script.Ack(v5.PUBREL, 1, 0))
	a.Want("PUBCOMP 1")
	x.ack(between)
	a.Want("PUBACK 2")
	a.Want("PINGREQ")
	a.Send(script.Publish(3, 1, "f", "queued"), script.Packet{Type: v5.PINGRESP})
	x.ack(x.receive())
	a.Want("PUBACK 3")
	a.Want("PINGREQ")
	a.Send(script.Packet{Type: v5.PINGRESP}, script.Publish(4, 1, "f", "late")) // some servers answer PINGREQ early
	x.ack(x.receive())
	a.Want("PUBACK 4")
	n = x.complete(0, a)
	x.ended(0, bridgeID)
	n.Send(script.Duplicate(script.Publish(7, 1, "f", "new")))
	if in := x.receive(); in.Payload != "new" {
		t.Errorf("received %q", in.Payload)
	}
}

func TestTransfer_IdentifierRefused_BridgeContinuesAndTriesAgain(t *testing.T) {
	x, a := newSource(t, 1)
	inEffect := x.changeClientID(otherID)
	x.accept(0, otherID).Send(script.Packet{Type: v5.CONNACK, Code: 0x85})
	x.want("short 0: ClientIDRejected")
	n := x.prepare(0, false, 1)
	wantUnsubscribe(t, a, "f")
	leave(n)
	if len(inEffect) > 0 {
		t.Error("in effect with the earlier identifier")
	}
	_ = x.complete(0, a)
	x.wantNone("lost 0")
	awaitInEffect(t, inEffect)
}

// The session that was begun must not queue messages that no one receives.
func TestTransfer_FilterRefused_BridgeContinuesAndNewSessionIsEnded(t *testing.T) {
	x, a := newSource(t, 1)
	x.changeClientID(otherID)
	n := x.prepare(0, false, 0x87)
	x.want("short 0: SubscriptionRefused")
	leave(n)
	x.ended(0, otherID)
	x.changeClientID(bridgeID)
	x.want("no shortfall 0")
	x.stop()
	a.Want("DISCONNECT")
}

// The session of an earlier process may hold messages.
func TestTransfer_FilterRefusedInExistingSession_SessionIsKept(t *testing.T) {
	x, _ := newSource(t, 1)
	x.changeClientID(otherID)
	n := x.prepare(0, true, 0x87)
	x.want("short 0: SubscriptionRefused")
	leave(n)
	leave(x.prepare(0, true, 0x87)) // the next attempt, and nothing between
}

// A filter that the server refuses anyway does not prevent the change.
func TestTransfer_FilterRefusedBefore_IsNoObstacle(t *testing.T) {
	x := newSide(t, 1)
	filters("f", "g")(&x.Settings)
	x.run()
	a := x.connect(0)
	subscribed(t, a, []byte{1, 0x87}, "f", "g")
	x.want("connected 0")
	x.changeClientID(otherID)
	n := x.accept(0, otherID)
	n.Send(script.Connack(false, nil))
	subscribed(t, n, []byte{1, 0x87}, "f", "g")
	wantUnsubscribe(t, a, "f")
	leave(n)
	pong(a)
	leave(a)
	n = x.accept(0, otherID)
	n.Send(script.Connack(true, nil))
	subscribed(t, n, []byte{0x87}, "g")
	x.want("short 0: SubscriptionRefused", "replaced")
}

func TestTransfer_EarlierConnectionLost_ContinuesWhenItIsResumed(t *testing.T) {
	x, a := newSource(t, 1)
	x.changeClientID(otherID)
	n := x.prepare(0, false, 1)
	wantUnsubscribe(t, a, "f")
	leave(n)
	_ = a.Close()
	x.want("lost 0", "down")
	a = x.accept(0, bridgeID)
	a.Send(script.Connack(true, nil))
	wantUnsubscribe(t, a, "f")
	x.want("connected 0")
	_ = x.complete(0, a)
}

// The new session has the messages.
func TestTransfer_NewConnectionFails_IsTriedAgain(t *testing.T) {
	x := newSide(t, 1)
	x.Failover.RetryInitial = time.Millisecond
	filters("f")(&x.Settings)
	x.run()
	a := x.connect(0)
	subscribed(t, a, []byte{1}, "f")
	x.want("connected 0")
	x.changeClientID(otherID)
	n := x.prepare(0, false, 1)
	wantUnsubscribe(t, a, "f")
	leave(n)
	pong(a)
	leave(a)
	x.accept(0, otherID).Send(script.Packet{Type: v5.CONNACK, Code: 0x88})
	x.want("lost 0")
	n = x.accept(0, otherID)
	n.Send(script.Connack(true, nil))
	x.want("uses "+otherID, "connected 0")
	x.ended(0, bridgeID)
}

// The first change is completed, because its session has the messages since.
func TestTransfer_ChangedAgainMeanwhile_FollowsAfterTheFirst(t *testing.T) {
	x, a := newSource(t, 1)
	x.changeClientID(otherID)
	n := x.prepare(0, false, 1)
	wantUnsubscribe(t, a, "f")
	inEffect := x.changeClientID("third")
	leave(n)
	n = x.complete(0, a)
	x.ended(0, bridgeID)
	third := x.accept(0, "third")
	third.Send(script.Connack(false, nil))
	subscribed(t, third, []byte{1}, "f")
	wantUnsubscribe(t, n, "f")
	leave(third)
	pong(n)
	leave(n)
	third = x.accept(0, "third")
	third.Send(script.Connack(true, nil))
	x.want("replaced", "uses third")
	awaitInEffect(t, inEffect)
}

func TestTransfer_CleanSession_ReconnectsWithTheNewIdentifier(t *testing.T) {
	x := newSide(t, 1)
	config := x.Servers[0].Config
	x.Servers[0].Config = func() (session.Config, error) {
		cfg, err := config()
		cfg.CleanStart = true
		return cfg, err
	}
	filters("f")(&x.Settings)
	x.run()
	a := x.connect(0)
	subscribed(t, a, []byte{1}, "f")
	x.want("connected 0")
	x.reconnect(a, nil)
	x.changeClientID("third")
	_ = x.accept(0, "third") // the session of bridgeID has ended with its connection
	x.wantNone("lost 0")
}

// A server that was in use may have queued messages for the earlier identifier.
func TestTransfer_ServerLeftBefore_FollowsWhenTheBridgeReturns(t *testing.T) {
	x, a := newSource(t, 2)
	x.force("b")
	b := x.connect(1)
	subscribed(t, b, []byte{1}, "f")
	leave(a)
	x.want("switched 1")
	x.changeClientID(otherID)
	n := x.prepare(1, false, 1)
	wantUnsubscribe(t, b, "f")
	leave(n)
	n = x.complete(1, b)
	x.ended(1, bridgeID)
	x.force("a")
	a = x.accept(0, bridgeID)
	a.Send(script.Connack(true, nil))
	x.want("uses "+bridgeID, "switched 0")
	leave(n)
	n = x.prepare(0, false, 1)
	wantUnsubscribe(t, a, "f")
	leave(n)
	_ = x.complete(0, a)
}

func TestTransfer_ServerNotUsedBefore_IsUsedWithTheNewIdentifier(t *testing.T) {
	x, a := newSource(t, 2)
	x.change(func(s *Settings) {
		s.ClientID = otherID
		s.Servers = s.Servers[1:]
	})
	b := x.accept(1, otherID)
	b.Send(script.Connack(false, nil))
	subscribed(t, b, []byte{1}, "f")
	x.want("uses "+otherID, "switched 0")
	a.Want("DISCONNECT")
}

// For example, its access rules follow the manifest.
func TestTransfer_EarlierIdentifierRefused_NewOneIsUsed(t *testing.T) {
	x, a := newSource(t, 1)
	_ = a.Close()
	x.want("lost 0")
	a = x.accept(0, bridgeID)
	x.changeClientID(otherID)
	a.Send(script.Packet{Type: v5.CONNACK, Code: 0x85}) // counts as a failure with the settings before
	x.want("failed 0")
	a = x.accept(0, bridgeID)
	a.Send(script.Packet{Type: v5.CONNACK, Code: 0x85})
	n := x.accept(0, otherID)
	n.Send(script.Connack(false, nil))
	subscribed(t, n, []byte{1}, "f")
	x.want("uses "+otherID, "connected 0")
	x.wantNone("failed 0")
}

// Without a session, the identifier that the server refuses is not tried again.
func TestTransfer_NeverConnected_NewIdentifierIsUsedAtOnce(t *testing.T) {
	x := newSide(t, 1)
	x.Failover.RetryMax = 100 * time.Millisecond
	filters("f")(&x.Settings)
	x.run()
	x.accept(0, bridgeID).Send(script.Packet{Type: v5.CONNACK, Code: 0x85})
	x.want("failed 0")
	x.changeClientID(otherID)
	x.want("uses " + otherID)
	n := x.accept(0, otherID)
	n.Send(script.Connack(false, nil))
	subscribed(t, n, []byte{1}, "f")
	x.want("connected 0")
}

// The other runner of a group was active before, and had not changed its identifier yet.
func TestTransfer_RecalledIdentifier_IsUsedFirst(t *testing.T) {
	x := newSide(t, 1)
	filters("f")(&x.Settings)
	x.ClientID = otherID
	x.Recalled = map[string]failover.Knowledge{"a": {Active: true, ClientID: bridgeID}}
	x.run()
	a := x.accept(0, bridgeID)
	a.Send(script.Connack(true, nil))
	x.want("connected 0")
	x.accept(0, otherID).Send(script.Packet{Type: v5.CONNACK, Code: 0x85})
	subscribed(t, a, []byte{1}, "f")
	x.change(filters("f")) // the other runner has subscribed
	n := x.prepare(0, true, 1)
	wantUnsubscribe(t, a, "f")
	leave(n)
	_ = x.complete(0, a)
}

func TestTransfer_DeletionWhileRefused_EndsBothSessions(t *testing.T) {
	x, a := newSource(t, 1)
	x.changeClientID(otherID)
	x.accept(0, otherID).Send(script.Packet{Type: v5.CONNACK, Code: 0x85})
	x.want("short 0: ClientIDRejected")
	x.stop()
	leave(a)
	<-x.stopped
	done := make(chan bool)
	go func() { done <- x.EndSession(t.Context(), "a", "") == nil }()
	x.ended(0, bridgeID)
	x.ended(0, otherID)
	if !<-done {
		t.Error("the sessions have not ended")
	}
}

// The next process connects with the new identifier, whose session must keep the messages.
func TestTransfer_RunnerDrains_NothingBegins(t *testing.T) {
	x, a := newSource(t, 1)
	close(x.drain)
	x.changeClientID(otherID)
	a.Send(script.Publish(1, 1, "f", "x"))
	x.stop()
	a.Want("DISCONNECT")
	if i := slices.IndexFunc(x.used, func(s *session.Session) bool { return s.State() != x.used[0].State() }); i >= 0 {
		t.Error("another session was begun")
	}
}
