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

// Package packet tests each kind of malformed packet. This file tests the consequences, and
// the cases that depend on the session.
func TestSession_FieldsCannotBeLocated_SessionEnds(t *testing.T) {
	const both = 0
	for _, c := range []struct {
		name string
		v    packet.Version
		sent string
		code byte
	}{
		{"a packet of type 0", both, "\x00\x00", 0x82},
		{"QoS 3", both, "\x36\x06\x00\x01t\x00\x01\x00", 0x81},             // [MQTT-3.3.1-4]
		{"a topic beyond the end", both, "\x30\x04\x00\x09t\x00", 0x81},    // section 3.3.2.1
		{"an endless length", both, "\x30\xff\xff\xff\xff\x01", 0x81},      // section 2.2.3
		{"a PUBACK without an identifier", both, "\x40\x01\x00", 0x81},     // section 3.4.2
		{"an AUTH", packet.V311, "\xf0\x00", 0x82},                         // of 5
		{"a large SUBACK", both, "\x90\xff\xff\x7f\xff\xff\x00\x00", 0x95}, // its codes are at the end
	} {
		for _, v := range []packet.Version{packet.V311, packet.V5} {
			if c.v != both && c.v != v {
				continue
			}
			t.Run(fmt.Sprintf("%s, version=%d", c.name, v), func(t *testing.T) {
				p := newPeer(t, v)
				p.cfg.MaximumPacketSize = 1 << 20
				l := p.new()
				l.c.SendBytes(l.c.Encode(script.Publish(0, 0, "t", "before")) + c.sent)
				l.c.Send(script.Publish(0, 0, "t", "after"))
				if v == packet.V5 {
					l.c.WantEnd(fmt.Sprintf("DISCONNECT 0x%02x", c.code)) // [MQTT-4.13.1-1]
				} else {
					l.c.WantEnd() // [MQTT-4.8.0-1]: only the end of the connection
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

func TestSubscribe_SubackCodes_RefusalsAreExplained(t *testing.T) {
	subscriptions := []Subscription{{Filter: "a", QoS: 1, ID: 1}, {Filter: "b/#", QoS: 2, RetainHandling: 2, ID: 1}}
	for _, c := range []struct {
		v      packet.Version
		codes  []byte
		record string // the recorded subscriptions after the answer
		want   string
	}{
		{packet.V311, []byte{1, 2}, "a:1 b/#:2", ""},
		{packet.V311, []byte{0, 1}, "a:1/0 b/#:2/1", ""}, // less than requested
		{packet.V311, []byte{1, 0x80}, "a:1", `the server refuses the subscription to "b/#"; allow the bridge's user to subscribe to it, or change the rule's filter`},                                                  // [MQTT-3.9.3-2]
		{packet.V311, []byte{1}, "a:1? b/#:2?", "while subscribing to \"a\", \"b/#\": the server answered a subscription to 2 filters with 1 codes, so that it is unknown which filters it granted; update the server"}, // [MQTT-3.8.4-5]
		{packet.V311, []byte{2, 2}, "a:1 b/#:2", ""}, // more than requested
		{packet.V311, []byte{1, 0x87}, "a:1", `the server refuses the subscription to "b/#": not authorised; allow the bridge's user to subscribe to it, or change the rule's filter`}, // of 5
		{packet.V311, []byte{3, 1}, "b/#:2/1", `the server refuses the subscription to "a": reason code 0x03; allow the bridge's user to subscribe to it, or change the rule's filter`},
		{packet.V5, []byte{1, 2}, "a:1 b/#:2", ""},
		{packet.V5, []byte{0x80, 0x8F}, "", `the server refuses 2 subscriptions; allow the bridge's user to subscribe to them, or change the rules' filters: "a"; "b/#": the filter is not allowed`},
		{packet.V5, []byte{0x87, 2}, "b/#:2", `the server refuses the subscription to "a": not authorised; allow the bridge's user to subscribe to it, or change the rule's filter`},
		{packet.V5, []byte{1, 0x97}, "a:1", `the server refuses the subscription to "b/#": the server's quota is exceeded; allow the bridge's user to subscribe to it, or change the rule's filter`},
		{packet.V5, []byte{1, 0xA2}, "a:1", `the server refuses the subscription to "b/#": the server does not support wildcard subscriptions; allow the bridge's user to subscribe to it, or change the rule's filter`},
		{packet.V5, []byte{1, 2, 0}, "a:1? b/#:2?", "while subscribing to \"a\", \"b/#\": the server answered a subscription to 2 filters with 3 codes, so that it is unknown which filters it granted; update the server"}, // [MQTT-3.8.4-6]
	} {
		t.Run(fmt.Sprintf("version=%d, codes=%v", c.v, c.codes), func(t *testing.T) {
			l := newPeer(t, c.v).new()
			done := make(chan error)
			go func() { done <- l.s.SetSubscriptions(t.Context(), subscriptions) }()
			asked := l.c.Next()
			if asked.String() != "SUBSCRIBE 65280 a:1 b/#:2" {
				t.Errorf("got %s", asked)
			}
			if o := asked.Subscriptions[1]; c.v == packet.V5 && (!o.NoLocal || !o.RetainAsPublished || o.RetainHandling != 2 || *asked.Properties.SubscriptionIdentifier != 1) { // section 3.8.3.1
				t.Errorf("options: %+v", o)
			}
			l.c.Send(script.Packet{Type: v5.SUBACK, ID: asked.ID, Codes: c.codes})
			err := <-done
			l.wantRecord(c.record)
			if (err == nil) != (c.want == "") || err != nil && Explain(err).Message != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

func TestSubscribe_SessionEnds_ReturnsError(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		done := make(chan error)
		go func() { done <- l.s.SetSubscriptions(t.Context(), []Subscription{{Filter: "a"}}) }()
		l.c.Want("SUBSCRIBE 65280 a:0")
		_ = l.c.Close()
		if err := <-done; err == nil || Explain(err).Message != `while subscribing to "a": the server or the network closed the connection; check the server's log; check that the server allows the bridge's user to subscribe to these filters, and how many subscriptions it allows` {
			t.Errorf("subscribed: %v", err)
		}
	})
}

func TestState_ServerLosesSession_NotSubscribed(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		done := make(chan error)
		go func() { done <- l.s.SetSubscriptions(t.Context(), []Subscription{{Filter: "a"}}) }()
		l.c.Send(script.Packet{Type: v5.SUBACK, ID: l.c.Next().ID, Codes: []byte{0}})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		l.cut()
		if l = p.resume(); !l.s.State().Subscribed() {
			t.Error("a resumed session is not subscribed")
		}
		l.cut()
		if l = p.new(); l.s.State().Subscribed() {
			t.Error("a new session is subscribed")
		}
	})
}
