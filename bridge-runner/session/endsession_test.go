// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

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
