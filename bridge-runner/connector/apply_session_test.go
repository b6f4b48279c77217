// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// filters makes the connector subscribe to these filters.
func filters(names ...string) func(*Settings) {
	return func(s *Settings) {
		s.Subscriptions = func(bool) []session.Subscription {
			out := make([]session.Subscription, len(names))
			for i, name := range names {
				out[i].Filter = name
			}
			return out
		}
	}
}

// subscribed answers the next packet, which must be a SUBSCRIBE to these filters, with these codes.
func subscribed(t *testing.T, c *script.Conn, codes []byte, names ...string) {
	t.Helper()
	p := c.Next()
	if p.Type != v5.SUBSCRIBE || len(p.Subscriptions) != len(names) {
		t.Fatalf("got %s, want SUBSCRIBE %v", p, names)
	}
	for i, name := range names {
		if p.Subscriptions[i].Topic != name {
			t.Fatalf("got %s, want SUBSCRIBE %v", p, names)
		}
	}
	c.Send(script.Packet{Type: v5.SUBACK, ID: p.ID, Codes: codes})
}

// runSubscribed runs the connector with subscriptions to these filters, which the first server grants.
func (x *side) runSubscribed(names ...string) *script.Conn {
	x.t.Helper()
	filters(names...)(&x.Settings)
	x.run()
	c := x.connect(0)
	subscribed(x.t, c, make([]byte, len(names)), names...)
	x.want("connected 0")
	return c
}

func TestApply_SettingsOfConnectionChanged_ReconnectsToSameServer(t *testing.T) {
	for name, change := range map[string]func(*Settings){
		"session":    func(s *Settings) { s.Session = "other" },
		"connection": func(s *Settings) { s.Servers[0].Connection = "other" },
	} {
		t.Run(name, func(t *testing.T) {
			x, a := newConnected(t, 2)
			x.change(change)
			x.want("paused")
			leave(a)
			a = x.connect(0)
			x.want("replaced")
			x.wantNone("lost 0")
			_ = a.Close()
			x.want("lost 0") // it has reconnected once
		})
	}
}

func TestApply_ReconnectionFails_FailsOver(t *testing.T) {
	x, a := newConnected(t, 2)
	x.change(func(s *Settings) { s.Session = "other" })
	leave(a)
	x.accept(0, bridgeID).Send(script.Packet{Type: v5.CONNACK, Code: 0x87})
	_ = x.connect(1)
	x.want("lost 0", "down", "connected 1")
}

func TestApply_NewFilter_SubscribesOnConnectionInUse(t *testing.T) {
	x := newSide(t, 2)
	a := x.runSubscribed("f")
	x.change(filters("f", "g"))
	subscribed(t, a, []byte{0}, "g")
	x.force("b")
	b := x.connect(1)
	subscribed(t, b, []byte{0, 0}, "f", "g")
	x.want("switched 1")
	x.wantNone("lost 0")
}

// The bridge returns to a server that it has left before the change.
func TestApply_NewFilter_SubscribesOnResumedSession(t *testing.T) {
	x := newSide(t, 2)
	a := x.runSubscribed("f")
	x.force("b")
	b := x.connect(1)
	subscribed(t, b, []byte{0}, "f")
	leave(a)
	x.want("switched 1")
	x.change(filters("g"))
	subscribed(t, b, []byte{0}, "g")
	wantUnsubscribe(t, b, "f")
	x.force("a")
	a = x.accept(0, bridgeID)
	a.Send(script.Connack(true, nil))
	subscribed(t, a, []byte{0}, "g")
	wantUnsubscribe(t, a, "f")
	x.want("switched 0")
}

func TestApply_NewFilterRefused_UsesAnotherServer(t *testing.T) {
	x, a := newConnected(t, 2)
	x.change(filters("f"))
	subscribed(t, a, []byte{0x87}, "f")
	leave(a)
	b := x.connect(1)
	subscribed(t, b, []byte{0}, "f")
	x.want("lost 0", "connected 1")
}

// One filter that no server permits must not stop the messages of the others.
func TestApply_OneNewFilterRefused_OthersStayAndItIsRequestedAgain(t *testing.T) {
	x := newSide(t, 2)
	x.Failover.RetryMax = 200 * time.Millisecond
	a := x.runSubscribed("f")
	x.change(filters("f", "g", "h"))
	subscribed(t, a, []byte{0x87, 0}, "g", "h")
	x.want("short 0: SubscriptionRefused")
	subscribed(t, a, []byte{0x87}, "g")
	x.want("short 0: SubscriptionRefused")
	subscribed(t, a, []byte{0}, "g")
	x.want("no shortfall 0")
	x.wantNone("lost 0")
}

// The server remains in use also after a reconnection, and the shortfall is the server's own.
func TestConnect_SomeFiltersRefused_ServerIsUsedWithAShortfall(t *testing.T) {
	x := newSide(t, 2)
	filters("f", "g")(&x.Settings)
	x.run()
	a := x.connect(0)
	subscribed(t, a, []byte{0x87, 0}, "f", "g")
	x.want("short 0: SubscriptionRefused", "connected 0")
	x.force("b")
	b := x.connect(1)
	subscribed(t, b, []byte{0, 0}, "f", "g")
	x.want("no shortfall 1", "switched 1")
}

// A status that names the changed settings promises that messages arrive for the new filter.
func TestApply_NewFilter_InEffectWhenSubscribed(t *testing.T) {
	inEffect := make(chan struct{}, 1)
	x, a := newConnected(t, 1)
	x.change(func(s *Settings) {
		filters("f")(s)
		s.InEffect = func() { inEffect <- struct{}{} }
	})
	p := a.Next()
	if p.Type != v5.SUBSCRIBE {
		t.Fatalf("got %s, want SUBSCRIBE", p)
	}
	select {
	case <-inEffect:
		t.Fatal("in effect before the server has answered")
	case <-time.After(50 * time.Millisecond):
	}
	a.Send(script.Packet{Type: v5.SUBACK, ID: p.ID, Codes: []byte{0}})
	awaitInEffect(t, inEffect)
}

func TestApply_NoServerInUse_InEffectAtOnce(t *testing.T) {
	inEffect := make(chan struct{}, 1)
	x, a := newConnected(t, 1)
	_ = a.Close()
	x.want("lost 0", "down")
	x.accept(0, bridgeID).Send(script.Packet{Type: v5.CONNACK, Code: 0x87})
	x.want("failed 0")
	x.change(func(s *Settings) { s.InEffect = func() { inEffect <- struct{}{} } })
	awaitInEffect(t, inEffect)
}

func awaitInEffect(t *testing.T, inEffect <-chan struct{}) {
	t.Helper()
	select {
	case <-inEffect:
	case <-time.After(script.Timeout):
		t.Fatal("the settings are not in effect")
	}
}

// An earlier process may have made the subscription, or another server of a cluster that shares
// sessions.
func TestApply_FilterRemoved_EndedOnServerThatThisProcessHasNotUsed(t *testing.T) {
	x := newSide(t, 2)
	a := x.runSubscribed("f", "g")
	x.change(filters("f"))
	wantUnsubscribe(t, a, "g")
	x.force("b")
	b := x.accept(1, bridgeID)
	b.Send(script.Connack(true, nil))
	subscribed(t, b, []byte{0}, "f")
	wantUnsubscribe(t, b, "g")
	x.want("switched 1")
}

// A user may have removed the cause: for example, rules that form a loop.
func TestApply_ServerRejectedBefore_IsTriedAgain(t *testing.T) {
	x, _ := newConnected(t, 1)
	x.used[0].RejectServer(diagnosis.EchoReceived)
	x.want("lost 0", "failed 0")
	x.change(filters("f"))
	a := x.connect(0)
	subscribed(t, a, []byte{0}, "f")
	x.want("connected 0")
}

// While other servers fail one after the other, new filters must not wait for all of them.
func TestApply_ServerInUseRemovedAndOthersFail_SubscribesAfterFirstFailure(t *testing.T) {
	x := newSide(t, 4)
	list := x.Servers
	a := x.runSubscribed("f")
	inEffect := make(chan struct{})
	x.change(func(s *Settings) {
		keep(list, 1, 2, 3)(s)
		filters("f", "g")(s)
		s.InEffect = func() { close(inEffect) }
	})
	_ = x.accept(1, bridgeID).Close()
	x.want("failed 0")
	subscribed(t, a, []byte{0}, "g")
	<-inEffect
	_ = x.accept(2, bridgeID).Close()
	x.want("failed 1")
}

func TestApply_QoSOfRulesChanged_ShortfallFollows(t *testing.T) {
	x := newSide(t, 1)
	x.PublishQoS = 1
	x.run()
	x.accept(0, bridgeID).Send(script.Connack(false, &v5.Properties{MaximumQOS: new(byte(1))}))
	x.want("connected 0")
	x.change(func(s *Settings) { s.PublishQoS = 2 })
	x.want("short 0: QoSLowered")
	x.change(func(s *Settings) { s.PublishQoS = 1 })
	x.want("no shortfall 0")
}

// The server deletes the Will when the session ends with DISCONNECT, so the handler must write the
// last notification before.
func TestApply_SessionInUseClosed_HandlerIsCalledBefore(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, x *side, a *script.Conn){
		"reconnection": func(_ *testing.T, x *side, _ *script.Conn) { x.change(func(s *Settings) { s.Session = "other" }) },
		"refused filter": func(t *testing.T, x *side, a *script.Conn) {
			x.change(filters("f"))
			subscribed(t, a, []byte{0x87}, "f")
		},
	} {
		t.Run(name, func(t *testing.T) {
			x, a := newConnected(t, 1)
			change(t, x, a)
			x.want("closing")
			leave(a)
		})
	}
}
