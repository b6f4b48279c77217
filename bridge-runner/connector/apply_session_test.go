// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

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
	filters("f")(&x.Settings)
	x.run()
	a := x.connect(0)
	subscribed(t, a, []byte{0}, "f")
	x.want("connected 0")
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
	filters("f")(&x.Settings)
	x.run()
	a := x.connect(0)
	subscribed(t, a, []byte{0}, "f")
	x.want("connected 0")
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

// The bridge returns to a server that was not in the list during the change.
func TestApply_RemovedServerIsBackLater_ItsSessionIsKnown(t *testing.T) {
	x := newSide(t, 2)
	list := x.Servers
	filters("f")(&x.Settings)
	x.run()
	a := x.connect(0)
	subscribed(t, a, []byte{0}, "f")
	x.want("connected 0")
	x.change(keep(list, 1))
	b := x.connect(1)
	subscribed(t, b, []byte{0}, "f")
	leave(a)
	x.want("switched 0", "servers b [0]")
	x.change(filters("g"))
	subscribed(t, b, []byte{0}, "g")
	wantUnsubscribe(t, b, "f")
	x.change(keep(list, 0))
	a = x.accept(0, bridgeID)
	a.Send(script.Connack(true, nil))
	subscribed(t, a, []byte{0}, "g")
	wantUnsubscribe(t, a, "f")
	x.want("servers ab [-1 0]", "switched 0", "servers a [0]")
}
