// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"fmt"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// publishExact publishes a QoS 2 message.
func publishExact(s *session.Session) session.Result {
	return s.Publish(&session.Outgoing{Message: session.Message{Topic: "t", Payload: "x", QoS: 2}}, time.Now())
}

// Servers may share their sessions. If the server in use has not acknowledged a message at a hand-over, the next
// process may find the message on another server.
func TestHeld_OneServerMayHoldAMessage_NoneIsClean(t *testing.T) {
	for _, inFlight := range []bool{false, true} {
		t.Run(fmt.Sprintf("in flight %t", inFlight), func(t *testing.T) {
			x, a := newConnected(t, 3)
			x.force("b")
			b := x.connect(1)
			x.want("switched 1")
			leave(a)
			if inFlight {
				if got := publishExact(x.used[1]); got != session.Sent {
					t.Fatalf("publishing: %v", got)
				}
			}
			x.stop()
			if inFlight {
				b.Want("PUBLISH 1 qos2 t=x")
			}
			leave(b)
			<-x.stopped
			for name, want := range map[string]bool{"a": !inFlight, "b": !inFlight, "c": false} {
				if got := x.Held()[name].None; got != want {
					t.Errorf("server %s holds no message: %t, want %t", name, got, want)
				}
			}
		})
	}
}

// The other process has ended the session of its own client identifier. This process may use another session.
func TestRecalled_ServerIsCleanForAnotherClientID_ItsIdentifiersAreReleased(t *testing.T) {
	for clientID, want := range map[string]session.Result{"": session.Sent, bridgeID: session.Sent, otherID: session.Full} {
		t.Run("client identifier "+clientID, func(t *testing.T) {
			x := newSide(t, 1)
			x.Recalled = map[string]failover.Knowledge{"a": {Clean: true, ClientID: clientID}}
			x.run()
			a := x.accept(0, bridgeID)
			a.Send(script.Connack(true, nil))
			x.want("connected 0")
			if got := publishExact(x.used[0]); got != want {
				t.Errorf("publishing: %v, want %v", got, want)
			}
			_ = a.Close()
		})
	}
}

// The status and the other process show the identifier in use.
func TestRenew_EarlierClientIDIsRefused_WantedOneIsReported(t *testing.T) {
	x := newSide(t, 1)
	filters("f")(&x.Settings)
	x.run()
	a := x.connect(0)
	subscribed(t, a, []byte{1}, "f")
	x.want("connected 0")
	refused := script.Packet{Type: v5.CONNACK, Code: 0x85}
	x.changeClientID(otherID)
	x.accept(0, otherID).Send(refused)
	x.want("short 0: ClientIDRejected")
	x.change(func(s *Settings) { s.Session = "changed" })
	x.accept(0, otherID).Send(refused)
	leave(a)
	x.accept(0, bridgeID).Send(refused)
	n := x.accept(0, otherID)
	n.Send(script.Connack(false, nil))
	subscribed(t, n, []byte{1}, "f")
	x.want("replaced", "uses "+otherID)
}

// The next process uses the client identifier of the settings on a server that is not in use. There, this process has
// ended the session of an earlier identifier, which says nothing about the other session.
func TestHeld_ServerHasTheSessionOfAnEarlierClientID_IsNotClean(t *testing.T) {
	x, a := newSource(t, 2)
	x.force("b")
	b := x.connect(1)
	subscribed(t, b, []byte{1}, "f")
	x.want("switched 1")
	leave(a)
	x.changeClientID(otherID)
	n := x.prepare(1, false, 1)
	wantUnsubscribe(t, b, "f")
	leave(n)
	c := x.complete(1, b)
	x.ended(1, bridgeID)
	x.stop()
	leave(c)
	<-x.stopped
	for name, want := range map[string]bool{"a": false, "b": true} {
		if got := x.Held()[name]; got.None != want {
			t.Errorf("server %s: %+v, want none: %t", name, got, want)
		}
	}
}

// The session of the earlier client identifier may hold messages. A change of the settings before the first connection
// must not make the bridge forget it.
func TestRecalled_EarlierClientIDAndSettingsChangeBeforeTheFirstConnection_IsUsedFirst(t *testing.T) {
	x := newSide(t, 1)
	filters("f")(&x.Settings)
	x.Failover.RetryMax = 200 * time.Millisecond
	x.ClientID = otherID
	x.Recalled = map[string]failover.Knowledge{"a": {Active: true, ClientID: bridgeID}}
	x.run()
	_ = x.accept(0, bridgeID).Close()
	x.want("failed 0")
	x.change(func(s *Settings) { s.Session = "changed" })
	a := x.accept(0, bridgeID)
	a.Send(script.Connack(true, nil))
	x.want("connected 0")
	_ = a.Close()
}
