// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"net/http"
	"strings"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// A server, or a gateway in front of it, may repeat in its reason strings a secret that it
// received.
func TestError_ServerRepeatsASecret_IsMasked(t *testing.T) {
	for name, show := range map[string]func(*Config){
		"a header":   func(c *Config) { c.Transport.Header = http.Header{"Authorization": {"Bearer s3cr3t-t0ken"}} },
		"a password": func(c *Config) { c.Username, c.Password = "u", "s3cr3t-t0ken" },
	} {
		t.Run(name, func(t *testing.T) {
			maskedInEachPacket(t, func(t *testing.T) *peer {
				p := newPeer(t, packet.V5)
				show(&p.cfg)
				return p
			})
		})
	}
}

func maskedInEachPacket(t *testing.T, newPeer func(*testing.T) *peer) {
	says := &v5.Properties{ReasonString: "bad s3cr3t-t0ken"}
	want := func(t *testing.T, message string) {
		t.Helper()
		if !strings.Contains(message, `"bad ..."`) || strings.Contains(message, "s3cr3t") {
			t.Errorf("the message is %s", message)
		}
	}
	t.Run("CONNACK", func(t *testing.T) {
		p := newPeer(t)
		c, done := p.dial()
		c.Next()
		c.Send(script.Packet{Type: v5.CONNACK, Code: 0x87, Properties: says})
		want(t, p.wantError(<-done).Message)
	})
	t.Run("DISCONNECT", func(t *testing.T) {
		l := newPeer(t).new()
		l.c.Send(script.Packet{Type: v5.DISCONNECT, Code: 0x97, Properties: says})
		want(t, l.wantOver().Error())
	})
	t.Run("PUBACK", func(t *testing.T) {
		l := newPeer(t).new()
		l.publish(message(1, "x"))
		l.c.Next()
		l.c.Send(script.Packet{Type: v5.PUBACK, ID: 1, Code: 0x87, Properties: says})
		want(t, <-l.events)
	})
	t.Run("SUBACK", func(t *testing.T) {
		l := newPeer(t).new()
		failed := l.subscribing([]Subscription{{Filter: "a", QoS: 1}})
		l.c.Send(script.Packet{Type: v5.SUBACK, ID: l.c.Next().ID, Codes: []byte{0x87}, Properties: says})
		want(t, Explain(<-failed).Message)
	})
	t.Run("DISCONNECT in a probe", func(t *testing.T) {
		c, result := newPeer(t).probe(script.Timeout)
		c.Next()
		c.Send(script.Connack(false, nil), script.Packet{Type: v5.DISCONNECT, Code: 0x97, Properties: says})
		want(t, ExplainProbe(<-result).Message)
	})
	t.Run("an answer that is not MQTT", func(t *testing.T) {
		if e := newPeer(t).refused("bad s3cr3t-t0ken"); !strings.Contains(e.Message, `"bad ..." and is not MQTT`) {
			t.Errorf("the message is %s", e.Message)
		}
	})
}

// Only the server's own words are masked: otherwise a password such as "server" would be
// revealed by the gaps in the bridge's words.
func TestError_ServerRepeatsThePassword_IsMaskedInItsWordsOnly(t *testing.T) {
	for name, c := range map[string]struct{ username, password, says, want string }{
		"a password":             {"plant-7", "hunter2!", "plant-7 with hunter2! is unknown", `"plant-7 with ... is unknown"`},
		"a word of the bridge":   {"plant-7", "server", "no server", `the server does not authorise the client (CONNACK 0x87, "no ..."); check the user name`},
		"a character of quoting": {"plant-7", `hun"ter`, `no hun"ter`, `"no ..."`},
		"a password in JSON":     {"plant-7", `hun"ter\2`, `{"bad":"hun\"ter\\2"}`, `"{\"bad\":\"...\"}"`},
		"a password in a URL":    {"plant-7", "hun ter/2", "bad p=hun%20ter%2F2 or hun+ter%2F2", `"bad p=... or ..."`},
		"a token as a user name": {"t0k3n-of-7", "", "unknown device t0k3n-of-7", `"unknown device ..."`},
		"no login":               {"", "", "why", `"why"`},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, packet.V5)
			p.cfg.Username, p.cfg.Password, p.cfg.CredentialsSource = c.username, c.password, `the Secret "login"`
			conn, done := p.dial()
			conn.Next()
			conn.Send(script.Packet{Type: v5.CONNACK, Code: 0x87, Properties: &v5.Properties{ReasonString: c.says}})
			if e := p.wantError(<-done); !strings.Contains(e.Message, c.want) {
				t.Errorf("%s\nwant %s", e.Message, c.want)
			}
		})
	}
}

// An error may be kept for each message that a server refuses.
func TestError_LongWordsOfServer_AreCut(t *testing.T) {
	s := &Session{}
	if got := s.maskSecrets(strings.Repeat("\u20ac", 20_000)); got != strings.Repeat("\u20ac", maxWords/3) {
		t.Errorf("%d bytes are kept", len(got))
	}
	s.cfg.Password = "s3cr3t-t0ken"
	if got, want := s.maskSecrets(strings.Repeat("x", maxWords-3)+s.cfg.Password), strings.Repeat("x", maxWords-3)+"..."; got != want {
		t.Errorf("the end is %q", got[len(got)-10:])
	}
	if got := s.maskSecrets("short"); got != "short" {
		t.Error(got)
	}
}
