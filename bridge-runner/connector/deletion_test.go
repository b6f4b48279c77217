// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"slices"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// newDrainingSide returns a side with one server and two filters, and a function that begins to
// unsubscribe.
func newDrainingSide(t *testing.T) (x *side, unsubscribe func()) {
	x = newSide(t, 1)
	begin := make(chan struct{})
	x.Unsubscribing = begin
	x.Failover.RetryInitial = 1
	x.Subscriptions = func(bool) []session.Subscription { return []session.Subscription{{Filter: "b"}, {Filter: "a"}} }
	return x, func() { close(begin) }
}

// wantUnsubscribe reads an UNSUBSCRIBE of the filters and answers it.
func wantUnsubscribe(t *testing.T, c *script.Conn, filters ...string) {
	t.Helper()
	p := c.Next()
	if p.Type != v5.UNSUBSCRIBE || !slices.Equal(p.Filters, filters) {
		t.Fatalf("got %s, want UNSUBSCRIBE %s", p, filters)
	}
	c.Send(script.Packet{Type: v5.UNSUBACK, ID: p.ID, Codes: make([]byte, len(filters))})
}

func TestConnector_Unsubscribing_EndsSubscriptionsOfActiveAndResumedSession(t *testing.T) {
	x, unsubscribe := newDrainingSide(t)
	x.run()
	c := x.connect(0)
	p := c.Next()
	c.Send(script.Packet{Type: v5.SUBACK, ID: p.ID, Codes: []byte{0, 0}})
	x.want("up")
	unsubscribe()
	wantUnsubscribe(t, c, "a", "b")
	_ = c.Close()
	x.want("lost 0", "down")

	c = x.accept(0, bridgeID)
	c.Send(script.Connack(true, nil))
	wantUnsubscribe(t, c, "a", "b") // the server may not have stored that they ended
	x.want("up")
	_ = c.Close()

	x.connect(0) // the server does not resume the session: it has no subscriptions
	x.want("up")
}

// An earlier process may have subscribed to filters that other filters cover, on a server that
// identifies subscriptions.
func TestConnector_UnsubscribingAfterRestart_EndsAlsoCoveredSubscriptions(t *testing.T) {
	x, unsubscribe := newDrainingSide(t)
	x.Subscriptions = func(identified bool) []session.Subscription {
		if identified {
			return []session.Subscription{{Filter: "a/#"}, {Filter: "a/b"}}
		}
		return []session.Subscription{{Filter: "a/#"}}
	}
	unsubscribe()
	x.run()
	c := x.accept(0, bridgeID)
	c.Send(script.Connack(true, &v5.Properties{SubIDAvailable: new(byte(0))}))
	wantUnsubscribe(t, c, "a/#", "a/b")
	x.want("up")
}

// The session remains in use. The connector tries again on the next connection.
func TestConnector_UnsubscribeRefused_UsesSession(t *testing.T) {
	x, unsubscribe := newDrainingSide(t)
	x.run()
	c := x.connect(0)
	c.Send(script.Packet{Type: v5.SUBACK, ID: c.Next().ID, Codes: []byte{0, 0}})
	x.want("up")
	unsubscribe()
	p := c.Next()
	c.Send(script.Packet{Type: v5.UNSUBACK, ID: p.ID, Codes: []byte{0x87, 0}})
	x.request("a") // the connector answers it after the UNSUBACK
	x.want("a: Done")
	_ = c.CloseWrite()
	c.WantEnd() // without a DISCONNECT: the session was in use
	x.want("lost 0", "down")

	c = x.accept(0, bridgeID)
	c.Send(script.Connack(true, nil))
	wantUnsubscribe(t, c, "a", "b")
	x.want("up")
}

func TestEndSession_ServerRefuses_ReturnsReason(t *testing.T) {
	x := newSide(t, 1)
	x.Apply(x.Settings)
	ended := make(chan string, 1)
	end := func() {
		reason := ""
		if why := x.EndSession(t.Context(), "a", ""); why != nil {
			reason = why.Reason
		}
		ended <- reason
	}
	go end()
	x.accept(0, bridgeID).Send(script.Packet{Type: v5.CONNACK, Code: 0x87})
	if got := <-ended; got != v1alpha1.ReasonAuthenticationFailed {
		t.Errorf("got %q", got)
	}
	go end()
	c := x.connect(0)
	c.Want("PINGREQ")
	c.Send(script.Packet{Type: v5.PINGRESP})
	c.Want("DISCONNECT")
	_ = c.Close()
	if got := <-ended; got != "" {
		t.Errorf("got %q", got)
	}
}
