// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"errors"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

type inspected struct {
	found Inspection
	err   error
}

// inspect inspects the peer, and returns the server's end.
func (p *peer) inspect(m *Message) (c *script.Conn, result <-chan inspected) {
	p.t.Helper()
	done := make(chan inspected, 1)
	cfg := p.cfg
	cfg.ConnectTimeout = script.Timeout
	go func() {
		found, err := Inspect(p.t.Context(), cfg, script.Timeout, m)
		done <- inspected{found, err}
	}()
	return p.server.Accept(), done
}

func TestInspect_HealthyServer_LeavesNoSessionAndReturnsFacts(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.Will, p.cfg.SessionExpiry, p.cfg.ClientID = &packet.Will{Topic: "w", Payload: "0"}, 3600, "check"
		c, result := p.inspect(nil)
		got := c.Next().Connect
		if got.ClientID != "check" || !got.CleanStart || got.WillFlag || got.ProtocolVersion != byte(p.cfg.Version) {
			t.Errorf("sent %s", got)
		}
		if p.v5() && got.Properties.SessionExpiryInterval != nil {
			t.Errorf("sent %s", got.Properties)
		}
		properties := &v5.Properties{ReceiveMaximum: new(uint16(7))}
		if !p.v5() {
			properties = nil
		}
		c.Send(script.Connack(false, properties))
		c.Want("PINGREQ")
		c.Send(script.Packet{Type: v5.PINGRESP})
		c.WantEnd("DISCONNECT")
		r := <-result
		if r.err != nil || r.found.Address != p.server.Addr() || r.found.RoundTrip <= 0 || r.found.Connecting <= 0 || r.found.TLS != nil || r.found.Publish != nil {
			t.Errorf("%+v", r)
		}
		want := uint16(65535)
		if p.v5() {
			want = 7
		}
		if r.found.Connack == nil || r.found.Connack.ReceiveMaximum != want {
			t.Errorf("CONNACK %+v", r.found.Connack)
		}
	})
}

func TestInspect_BridgeFlagConfigured_SetsIt(t *testing.T) {
	p := newPeer(t, packet.V311)
	p.cfg.BridgeFlag = true
	c, result := p.inspect(nil)
	if got := c.Next().Connect.ProtocolVersion; got != 0x84 {
		t.Errorf("the protocol level is %#x", got)
	}
	c.Send(script.Connack(false, nil))
	c.Want("PINGREQ")
	c.Send(script.Packet{Type: v5.PINGRESP})
	if r := <-result; r.err != nil {
		t.Error(r.err)
	}
}

func TestInspect_Refused_ReturnsErrorAndConnack(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		code := byte(5)
		if p.v5() {
			code = 0x87
		}
		c, result := p.inspect(nil)
		c.Next()
		c.Send(script.Packet{Type: v5.CONNACK, Code: code})
		r := <-result
		if e := ExplainProbe(r.err); r.err == nil || e.Reason != v1alpha1.ReasonAuthenticationFailed {
			t.Errorf("%v", r.err)
		}
		if r.found.Connack == nil || r.found.Connack.Code != code || r.found.Address == "" {
			t.Errorf("found %+v", r.found)
		}
	})
}

func TestInspect_AnswerToAnotherMessage_IsNoAcknowledgement(t *testing.T) {
	for name, c := range map[string]struct {
		answer script.Packet
		detail string
	}{
		"another identifier": {script.Ack(v5.PUBACK, 2, 0), "PUBACK for the packet identifier 2 instead of 1"},
		"no identifier":      {script.Ack(v5.PUBACK, 0, 0), "PUBACK for the packet identifier 0 instead of 1"},
		"QoS 2":              {script.Ack(v5.PUBREC, 1, 0), "PUBREC instead of PUBACK"},
	} {
		t.Run(name, func(t *testing.T) {
			versions(t, func(t *testing.T, p *peer) {
				conn, result := p.inspect(&Message{Topic: "t", Payload: "x", QoS: 1})
				conn.Next()
				conn.Send(script.Connack(false, nil))
				conn.Want("PINGREQ")
				conn.Send(script.Packet{Type: v5.PINGRESP})
				conn.Want("PUBLISH 1 qos1 t=x")
				conn.Send(c.answer)
				r := <-result
				var e *Error
				if !errors.As(r.err, &e) || e.Kind != PublishOtherAnswer || e.Detail != c.detail || r.found.Publish != nil {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

func TestInspect_Publish_ReturnsAcknowledgement(t *testing.T) {
	for name, c := range map[string]struct {
		qos, maximum, code byte
		want               string
	}{
		"accepted":       {1, 2, 0, "PUBLISH 1 qos1 t=x"},
		"QoS 2":          {2, 2, 0, "PUBLISH 1 qos1 t=x"},
		"not authorized": {1, 2, 0x87, "PUBLISH 1 qos1 t=x"},
		"QoS 0 only":     {1, 0, 0, "PUBLISH qos0 t=x"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, packet.V5)
			conn, result := p.inspect(&Message{Topic: "t", Payload: "x", QoS: c.qos})
			conn.Next()
			var limits *v5.Properties
			if c.maximum < 2 {
				limits = &v5.Properties{MaximumQOS: &c.maximum}
			}
			conn.Send(script.Connack(false, limits))
			conn.Want("PINGREQ")
			conn.Send(script.Packet{Type: v5.PINGRESP})
			conn.Want(c.want)
			if c.maximum == 0 {
				conn.Want("PINGREQ")
				conn.Send(script.Packet{Type: v5.PINGRESP})
			} else {
				conn.Send(script.Ack(v5.PUBACK, 1, c.code))
			}
			r := <-result
			if r.err != nil || (r.found.Publish == nil) != (c.maximum == 0) {
				t.Fatalf("%+v", r)
			}
			if r.found.Publish != nil && r.found.Publish.Code != c.code {
				t.Errorf("%+v", r.found.Publish)
			}
		})
	}
}
