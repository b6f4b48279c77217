// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// transferring returns a source during a transfer: the session in use is unsubscribed, and the new session has
// the subscription.
func transferring(t *testing.T, servers int) (x *side, a *script.Conn) {
	t.Helper()
	x, a = newSource(t, servers)
	x.changeClientID(otherID)
	n := x.prepare(0, false, 1)
	wantUnsubscribe(t, a, "f")
	leave(n)
	return x, a
}

// The new session has the messages since, so that the bridge uses it before it returns.
func TestTransfer_ChangedBackMeanwhile_ReturnsAfterwards(t *testing.T) {
	x, a := transferring(t, 1)
	inEffect := x.changeClientID(bridgeID)
	n := x.complete(0, a)
	x.ended(0, bridgeID)
	b := x.accept(0, bridgeID)
	b.Send(script.Connack(false, nil))
	subscribed(t, b, []byte{1}, "f")
	wantUnsubscribe(t, n, "f")
	leave(b)
	pong(n)
	leave(n)
	b = x.accept(0, bridgeID)
	b.Send(script.Connack(true, nil))
	x.want("replaced", "uses "+bridgeID)
	awaitInEffect(t, inEffect)
	x.ended(0, otherID)
	x.wantNone("lost 0")
}

// Otherwise the bridge would not notice the end of the session in use, and not fail over.
func TestTransfer_ServerHangs_LossOfTheConnectionIsNoticed(t *testing.T) {
	x, a := newSource(t, 1)
	x.changeClientID(otherID)
	_ = x.accept(0, otherID) // without CONNACK
	_ = a.Close()
	x.want("lost 0", "down")
	a = x.accept(0, bridgeID)
	a.Send(script.Connack(true, nil))
	x.want("connected 0")
}

// Such a server must not stop the bridge.
func TestTransfer_UnsubscribeUnanswered_NewSessionIsUsed(t *testing.T) {
	x := newSide(t, 1)
	x.ConnectTimeout, x.Failover.RetryInitial = 200*time.Millisecond, time.Millisecond
	a := x.runSubscribed("f")
	x.changeClientID(otherID)
	n := x.prepare(0, false, 1)
	if p := a.Next(); p.Type != v5.UNSUBSCRIBE {
		t.Fatalf("got %s", p)
	}
	n.Want("DISCONNECT")
	x.want("lost 0")
	for range maxUnsubscribeFailures {
		a = x.accept(0, bridgeID)
		a.Send(script.Connack(true, nil))
		if p := a.Next(); p.Type != v5.UNSUBSCRIBE {
			t.Fatalf("got %s", p)
		}
		_ = a.Close() // another way not to answer
	}
	n = x.accept(0, otherID)
	n.Send(script.Connack(true, nil))
	x.want("uses "+otherID, "connected 0")
	x.ended(0, bridgeID)
}

// Such a server sends messages to the earlier session without end.
func TestTransfer_UnsubscribeRefused_NewSessionIsUsed(t *testing.T) {
	x, a := newSource(t, 1)
	x.changeClientID(otherID)
	n := x.prepare(0, false, 1)
	p := a.Next()
	a.Send(script.Packet{Type: v5.UNSUBACK, ID: p.ID, Codes: []byte{0x87}}, script.Publish(1, 1, "f", "unacknowledged"))
	leave(n)
	leave(a)
	n = x.accept(0, otherID)
	n.Send(script.Connack(true, nil))
	x.want("replaced", "uses "+otherID)
	x.ended(0, bridgeID)
}

// The bridge has the message, and the end of the earlier session ends the exchange.
func TestTransfer_PubrelMissing_NewSessionIsUsed(t *testing.T) {
	x, a := newHandling(t)
	a.Send(script.Publish(1, 2, "f", "x"))
	x.ack(x.receive())
	a.Want("PUBREC 1")
	x.changeClientID(otherID)
	n := x.prepare(0, false, 2)
	wantUnsubscribe(t, a, "f")
	leave(n)
	_ = x.complete(0, a)
}

// All messages that wait on the server are older than the return.
func TestTransfer_StaleSessionDiscarded_DiscardsBothSessions(t *testing.T) {
	x, a := newSource(t, 2)
	x.change(func(s *Settings) { s.DiscardStale = true })
	x.changeClientID(otherID)
	n := x.prepare(0, false, 1)
	wantUnsubscribe(t, a, "f")
	x.force("b")
	leave(n)
	b := x.accept(1, otherID)
	b.Send(script.Connack(false, nil))
	subscribed(t, b, []byte{1}, "f")
	x.want("switched 1")
	leave(a)
	x.force("a")
	n = x.accept(0, otherID)
	n.Send(script.Connack(false, nil))
	subscribed(t, n, []byte{1}, "f")
	x.want("switched 0")
	leave(b)
	x.ended(0, bridgeID)
}

// A restart without storage, for example, and the end of the session's expiry interval.
func TestTransfer_ServerHasEndedTheNewSession_SubscribesAgain(t *testing.T) {
	x, a := transferring(t, 1)
	pong(a)
	leave(a)
	n := x.accept(0, otherID)
	n.Send(script.Connack(false, nil))
	subscribed(t, n, []byte{1}, "f")
	x.want("replaced", "uses "+otherID)
	x.wantNone("lost 0")
}

// Nothing is left in the earlier session.
func TestTransfer_ServerHasEndedTheEarlierSession_Continues(t *testing.T) {
	x, a := transferring(t, 1)
	_ = a.Close()
	x.want("lost 0")
	a = x.accept(0, bridgeID)
	a.Send(script.Connack(false, nil))
	x.want("connected 0")
	_ = x.complete(0, a)
}

// Nothing can be kept: the server announces a Session Expiry Interval of 0.
func TestTransfer_ServerKeepsNoSession_ReconnectsWithTheNewIdentifier(t *testing.T) {
	x := newSide(t, 1)
	filters("f")(&x.Settings)
	none := &v5.Properties{SessionExpiryInterval: new(uint32(0))}
	x.run()
	a := x.accept(0, bridgeID)
	a.Send(script.Connack(false, none))
	subscribed(t, a, []byte{1}, "f")
	x.want("connected 0")
	x.reconnect(a, none)
}

// The drain of the deletion includes both sessions.
func TestTransfer_Deletion_CompletesWithoutSubscriptions(t *testing.T) {
	x := newSide(t, 1)
	begin := make(chan struct{})
	x.Unsubscribing = begin
	a := x.runSubscribed("f")
	x.changeClientID(otherID)
	n := x.prepare(0, false, 0)
	wantUnsubscribe(t, a, "f")
	close(begin)
	leave(n)
	pong(a)
	leave(a)
	n = x.accept(0, otherID)
	n.Send(script.Connack(true, nil))
	wantUnsubscribe(t, n, "f")
	x.want("replaced")
}

// The server may have made the subscription.
func TestTransfer_NewConnectionLostWhileItSubscribes_EndsTheSessionAndTriesAgain(t *testing.T) {
	x, a := newSource(t, 1)
	x.changeClientID(otherID)
	n := x.accept(0, otherID)
	n.Send(script.Connack(false, nil))
	n.Want("SUBSCRIBE 65280 f:0")
	_ = n.Close()
	x.ended(0, otherID)
	n = x.prepare(0, false, 1)
	wantUnsubscribe(t, a, "f")
	leave(n)
	_ = x.complete(0, a)
	x.wantNone("lost 0")
}
