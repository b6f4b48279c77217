// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// probe probes the peer, and returns the server's end.
func (p *peer) probe(timeout time.Duration) (c *script.Conn, result <-chan error) {
	p.t.Helper()
	done := make(chan error, 1)
	cfg := p.cfg
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		done <- Probe(ctx, cfg)
	}()
	return p.server.Accept(), done
}

func TestProbe_HealthyServer_LeavesNoSession(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.Will, p.cfg.BridgeFlag, p.cfg.SessionExpiry = &packet.Will{Topic: "w", Payload: "0"}, true, 3600
		c, result := p.probe(script.Timeout)
		got := c.Next().Connect
		if got.ClientID != "x" || !got.CleanStart || got.WillFlag || got.ProtocolVersion != byte(p.cfg.Version) {
			t.Errorf("sent %s", got)
		}
		if p.v5() && got.Properties.SessionExpiryInterval != nil {
			t.Errorf("sent %s", got.Properties)
		}
		c.Send(script.Connack(false, nil))
		c.Want("PINGREQ")
		c.Send(script.Packet{Type: v5.PINGRESP})
		c.Want("DISCONNECT")
		_ = c.Close()
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

func TestProbe_ServerFails_HasReasonOfAttempt(t *testing.T) {
	const impatient = 300 * time.Millisecond
	for name, tc := range map[string]struct {
		answers         func(c *script.Conn)
		reason, message string
	}{
		"silent":                 {func(*script.Conn) {}, v1alpha1.ReasonConnectTimeout, "probe.timeoutSeconds"},
		"silent after CONNACK":   {func(c *script.Conn) { c.Send(script.Connack(false, nil)) }, v1alpha1.ReasonPingTimeout, "probe.timeoutSeconds"},
		"closes instead":         {func(c *script.Conn) { _ = c.Close() }, v1alpha1.ReasonConnectionClosed, "instead of answering CONNECT"},
		"closes instead of pong": {func(c *script.Conn) { c.Send(script.Connack(false, nil)); c.Want("PINGREQ"); _ = c.Close() }, v1alpha1.ReasonConnectionClosed, "closed the connection"},
		"answers something else": {func(c *script.Conn) { c.Send(script.Connack(false, nil), script.Ack(v5.PUBACK, 1, 0)) }, v1alpha1.ReasonProtocolError, "other than PINGRESP"},
		"answer is not MQTT":     {func(c *script.Conn) { c.SendBytes("HTTP/1.1 400\r\n\r\n") }, v1alpha1.ReasonProtocolError, "not MQTT"},
	} {
		t.Run(name, func(t *testing.T) {
			versions(t, func(t *testing.T, p *peer) {
				c, result := p.probe(impatient)
				c.Next()
				tc.answers(c)
				err := <-result
				if e := ExplainProbe(err); err == nil || e.Reason != tc.reason || !strings.Contains(e.Message, tc.message) {
					t.Errorf("%v, want %s: %s", err, tc.reason, tc.message)
				}
			})
		})
	}
}

func TestProbe_ServerDisconnects_ErrorHasReason(t *testing.T) {
	p := newPeer(t, packet.V5)
	c, result := p.probe(script.Timeout)
	c.Next()
	c.Send(script.Connack(false, nil), script.Packet{Type: v5.DISCONNECT, Code: 0x8B})
	err := <-result
	if e := ExplainProbe(err); err == nil || e.Reason != v1alpha1.ReasonServerUnavailable {
		t.Errorf("%v", err)
	}
}

func TestProbe_Refused_FailsPermanently(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		code := byte(5)
		if p.v5() {
			code = 0x87
		}
		c, result := p.probe(script.Timeout)
		c.Next()
		c.Send(script.Packet{Type: v5.CONNACK, Code: code})
		err := <-result
		if e := ExplainProbe(err); err == nil || e.Reason != v1alpha1.ReasonAuthenticationFailed || !e.Permanent {
			t.Errorf("%v", err)
		}
	})
}

func TestOpen_Discard_DropsOldSessionAndKeepsNew(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.Discard, p.cfg.SessionExpiry = true, 3600
		c, done := p.dial()
		first := c.Next().Connect
		if !first.CleanStart {
			t.Errorf("sent %s", first)
		}
		c.Send(script.Connack(false, nil))
		if p.v5() { // the new session outlives the connection ([MQTT-3.1.2-4])
			if expiry := first.Properties.SessionExpiryInterval; expiry == nil || *expiry != 3600 {
				t.Errorf("sent %s", first.Properties)
			}
		} else { // the new session would end with the connection ([MQTT-3.1.2-6])
			c.Want("DISCONNECT")
			_ = c.Close()
			c = p.server.Accept()
			if second := c.Next().Connect; second.CleanStart {
				t.Errorf("sent %s", second)
			}
			c.Send(script.Connack(false, nil))
		}
		p.use(c, <-done)
	})
}

// Servers that subscribe on behalf of their clients, such as EMQX, send retained messages
// to any client at once.
func TestProbe_ServerSendsAMessageFirst_Passes(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		c, result := p.probe(script.Timeout)
		c.Next()
		c.Send(script.Connack(false, nil), script.Publish(0, 0, "t", "retained"), script.Publish(1, 1, "t", "retained"))
		c.Want("PINGREQ")
		c.Send(script.Packet{Type: v5.PINGRESP})
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}
