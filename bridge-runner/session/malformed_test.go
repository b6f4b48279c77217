// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// Package packet tests what is malformed one by one. Here it is what follows from it,
// and what depends on the session.
func TestWhatTheProtocolDoesNotHaveEndsTheSession(t *testing.T) {
	const both = 0
	for _, c := range []struct {
		name string
		v    packet.Version
		sent string
		code byte
	}{
		{"a packet of type 0", both, "\x00\x00", 0x82},
		{"a client's packet", both, "\xc0\x00", 0x82},
		{"QoS 3", both, "\x36\x06\x00\x01t\x00\x01\x00", 0x81},                         // [MQTT-3.3.1-4]
		{"DUP at QoS 0", both, "\x38\x04\x00\x01t\x00", 0x81},                          // [MQTT-3.3.1-2]
		{"the identifier 0", both, "\x32\x06\x00\x01t\x00\x00\x00", 0x82},              // [MQTT-2.3.1-1], [MQTT-2.2.1-3]
		{"a wildcard in a topic", both, "\x30\x04\x00\x01#\x00", 0x81},                 // [MQTT-3.3.2-2]
		{"a topic that is not UTF-8", both, "\x30\x04\x00\x01\xff\x00", 0x81},          // [MQTT-1.5.3-1], [MQTT-1.5.4-1]
		{"flags of a PUBREL", both, "\x60\x02\x00\x01", 0x81},                          // [MQTT-3.6.1-1]
		{"an endless length", both, "\x30\xff\xff\xff\xff\x01", 0x81},                  // section 2.2.3
		{"a second CONNACK", both, "\x20\x02\x00\x00", 0x82},                           // section 3.2
		{"an UNSUBACK of nothing", packet.V311, "\xb0\x02\x00\x05", 0x82},              // section 3.10.4
		{"an UNSUBACK of nothing", packet.V5, "\xb0\x04\x00\x05\x00\x00", 0x82},        // section 3.10.4
		{"a DISCONNECT", packet.V311, "\xe0\x00", 0x82},                                // section 3.14 of 3.1.1
		{"an AUTH", packet.V311, "\xf0\x00", 0x82},                                     // of 5
		{"an AUTH", packet.V5, "\xf0\x00", 0x82},                                       // [MQTT-4.12.0-6]
		{"a topic alias", packet.V5, "\x30\x07\x00\x01t\x03\x23\x00\x01", 0x94},        // [MQTT-3.1.2-27]
		{"a topic alias of 0", packet.V5, "\x30\x07\x00\x01t\x03\x23\x00\x00", 0x94},   // [MQTT-3.3.2-8]
		{"no topic and no alias", packet.V5, "\x30\x03\x00\x00\x00", 0x82},             // section 3.3.2.1
		{"an unknown property", packet.V5, "\x30\x06\x00\x01t\x02\x7f\x00", 0x81},      // section 2.2.2.2
		{"a property twice", packet.V5, "\x30\x08\x00\x01t\x04\x01\x00\x01\x00", 0x82}, // section 3.3.2.3.2
	} {
		for _, v := range []packet.Version{packet.V311, packet.V5} {
			if c.v != both && c.v != v {
				continue
			}
			t.Run(fmt.Sprintf("%s, version=%d", c.name, v), func(t *testing.T) {
				l := newPeer(t, v).new()
				l.c.SendBytes(l.c.Encode(script.Publish(0, 0, "t", "before")) + c.sent)
				l.c.Send(script.Publish(0, 0, "t", "after"))
				if v == packet.V5 {
					l.c.WantEnd(fmt.Sprintf("DISCONNECT 0x%02x", c.code)) // [MQTT-4.13.1-1]
				} else {
					l.c.WantEnd() // [MQTT-4.8.0-1]: nothing but the end
				}
				if e := l.wantOver(); e == nil || e.Reason != "ProtocolError" {
					t.Errorf("ended with %v", e)
				}
				l.want("received before")
				l.wantNoMore()
			})
		}
	}
}

func TestASubscriptionIsMadeAndItsRefusalIsExplained(t *testing.T) {
	subscriptions := []Subscription{{Filter: "a", QoS: 1, ID: 1}, {Filter: "b/#", QoS: 2, RetainHandling: 2, ID: 1}}
	for _, c := range []struct {
		v     packet.Version
		codes []byte
		want  string
	}{
		{packet.V311, []byte{1, 2}, ""},
		{packet.V311, []byte{0, 1}, ""}, // less than asked for
		{packet.V311, []byte{1, 0x80}, `the server refuses the subscription to "b/#"; allow the bridge's user to read it, or change the rule's filter`},                                                  // [MQTT-3.9.3-2]
		{packet.V311, []byte{1}, "while subscribing to \"a\", \"b/#\": the server answered a subscription to 2 filters with 1 codes, so that it is unknown which filters it granted; update the server"}, // [MQTT-3.8.4-5]
		{packet.V311, []byte{2, 2}, ""}, // more than asked for
		{packet.V311, []byte{1, 0x87}, `the server refuses the subscription to "b/#": not authorised; allow the bridge's user to read it, or change the rule's filter`}, // of 5
		{packet.V311, []byte{3, 1}, `the server refuses the subscription to "a": reason code 0x03; allow the bridge's user to read it, or change the rule's filter`},
		{packet.V5, []byte{1, 2}, ""},
		{packet.V5, []byte{0x80, 0x8F}, `the server refuses 2 subscriptions; allow the bridge's user to read them, or change the rules' filters: "a"; "b/#": the filter is not allowed`},
		{packet.V5, []byte{0x87, 2}, `the server refuses the subscription to "a": not authorised; allow the bridge's user to read it, or change the rule's filter`},
		{packet.V5, []byte{1, 0x97}, `the server refuses the subscription to "b/#": its quota is exceeded; allow the bridge's user to read it, or change the rule's filter`},
		{packet.V5, []byte{1, 0xA2}, `the server refuses the subscription to "b/#": it has no wildcard subscriptions; allow the bridge's user to read it, or change the rule's filter`},
		{packet.V5, []byte{1, 2, 0}, "while subscribing to \"a\", \"b/#\": the server answered a subscription to 2 filters with 3 codes, so that it is unknown which filters it granted; update the server"}, // [MQTT-3.8.4-6]
	} {
		t.Run(fmt.Sprintf("version=%d, codes=%v", c.v, c.codes), func(t *testing.T) {
			l := newPeer(t, c.v).new()
			done := make(chan error)
			go func() { done <- l.s.Subscribe(t.Context(), subscriptions) }()
			asked := l.c.Next()
			if asked.String() != "SUBSCRIBE 65280 a:1 b/#:2" {
				t.Errorf("got %s", asked)
			}
			if o := asked.Subscriptions[1]; c.v == packet.V5 && (!o.NoLocal || !o.RetainAsPublished || o.RetainHandling != 2 || *asked.Properties.SubscriptionIdentifier != 1) { // section 3.8.3.1
				t.Errorf("options: %+v", o)
			}
			l.c.Send(script.Packet{Type: v5.SUBACK, ID: asked.ID, Codes: c.codes})
			err := <-done
			if c.want == "" {
				if err != nil || !l.s.State().Subscribed() {
					t.Errorf("subscribed: %v, %v", l.s.State().Subscribed(), err)
				}
				return
			}
			if err == nil || err.Error() != c.want || l.s.State().Subscribed() {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

func TestSubscribingEndsWithTheSession(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		done := make(chan error)
		go func() { done <- l.s.Subscribe(t.Context(), []Subscription{{Filter: "a"}}) }()
		l.c.Want("SUBSCRIBE 65280 a:0")
		_ = l.c.Close()
		if err := <-done; err == nil || err.Error() != `while subscribing to "a": the server or the network closed the connection; check that the server allows the bridge's user to read these filters, and how many subscriptions it allows` {
			t.Errorf("subscribed: %v", err)
		}
	})
}

func TestSubscriptionsAreKnownUntilTheServerLosesTheSession(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		done := make(chan error)
		go func() { done <- l.s.Subscribe(t.Context(), []Subscription{{Filter: "a"}}) }()
		l.c.Send(script.Packet{Type: v5.SUBACK, ID: l.c.Next().ID, Codes: []byte{0}})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		l.cut()
		if l = p.resume(); !l.s.State().Subscribed() {
			t.Error("a session that goes on is not subscribed")
		}
		l.cut()
		if l = p.new(); l.s.State().Subscribed() {
			t.Error("a new session is subscribed")
		}
	})
}
