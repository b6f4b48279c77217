// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"slices"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// unsubscribed is the result of Unsubscribe.
type unsubscribed struct {
	refused []RefusedFilter
	err     error
}

func (l *link) unsubscribing(filters ...string) <-chan unsubscribed {
	done := make(chan unsubscribed, 1)
	go func() {
		refused, err := l.s.Unsubscribe(l.t.Context(), filters)
		done <- unsubscribed{refused, err}
	}()
	return done
}

// nextUnsubscribe reads an UNSUBSCRIBE of one filter.
func (l *link) nextUnsubscribe(filter string) (id uint16) {
	l.t.Helper()
	p := l.c.Next()
	if p.Type != v5.UNSUBSCRIBE || !slices.Equal(p.Filters, []string{filter}) {
		l.t.Fatalf("got %s, want UNSUBSCRIBE of %q", p, filter)
	}
	return p.ID
}

func TestUnsubscribe_AnswersInAnyOrder_ForgetsSubscriptions(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.connect(script.Connack(false, nil))
		subscribed := l.subscribing(many(1))
		l.c.Send(granted(l.c.Next()))
		if err := <-subscribed; err != nil {
			t.Fatal(err)
		}
		done := l.unsubscribing("f0", "f1")
		first, second := l.nextUnsubscribe("f0"), l.nextUnsubscribe("f1")
		answer := func(id uint16, code byte) {
			a := script.Packet{Type: v5.UNSUBACK, ID: id}
			if p.v5() {
				a.Codes = []byte{code}
			}
			l.c.Send(a)
		}
		answer(second, 0x11) // no subscription existed
		answer(first, 0x87)
		got := <-done
		if got.err != nil || l.s.State().Subscribed() {
			t.Errorf("%v, subscribed: %t", got.err, l.s.State().Subscribed())
		}
		if wantRefused := p.v5(); (len(got.refused) == 1 && got.refused[0].Filter == "f0") != wantRefused {
			t.Errorf("refused: %v", got.refused)
		}
	})
}

func TestUnsubscribe_ConnectionLost_Fails(t *testing.T) {
	l := newPeer(t, packet.V5).connect(script.Connack(false, nil))
	done := l.unsubscribing("f0")
	l.nextUnsubscribe("f0")
	_ = l.c.Close()
	if got := <-done; Explain(got.err).Reason != v1alpha1.ReasonConnectionClosed {
		t.Errorf("%v", got.err)
	}
}

func TestEndSession_WithRetainedMessage_ConnectsCleanAndDeletesIt(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.Will, p.cfg.BridgeFlag, p.cfg.SessionExpiry = &packet.Will{Topic: "w", Payload: "0"}, true, 3600
		done := make(chan error, 1)
		cfg := p.cfg
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), script.Timeout)
			defer cancel()
			done <- EndSession(ctx, cfg, "w")
		}()
		c := p.server.Accept()
		got := c.Next().Connect
		if got.ClientID != "x" || !got.CleanStart || got.WillFlag || p.v5() && got.Properties.SessionExpiryInterval != nil {
			t.Errorf("sent %s", got)
		}
		c.Send(script.Connack(false, nil))
		if m := c.Next(); m.Type != v5.PUBLISH || m.Topic != "w" || !m.Retain || m.Payload != "" {
			t.Errorf("sent %s, want a retained message without a payload", m)
		}
		c.Want("PINGREQ")
		c.Send(script.Packet{Type: v5.PINGRESP})
		c.Want("DISCONNECT")
		_ = c.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
