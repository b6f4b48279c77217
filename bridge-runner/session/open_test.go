// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

func TestOpen_Configurations_SentInConnect(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		for _, c := range []struct {
			clean          bool
			user, password string
			will           *packet.Will
			bit            bool
		}{
			{false, "", "", nil, false},
			{true, "u", "", nil, false}, // [MQTT-3.1.2-22]: a user name may be alone
			{false, "", "p", nil, false},
			{false, "u", "p", &packet.Will{Topic: "w", Payload: "gone", QoS: 1, Retain: true, Delay: 5}, true},
		} {
			p.cfg.CleanStart, p.cfg.Username, p.cfg.Password, p.cfg.Will, p.cfg.BridgeFlag = c.clean, c.user, c.password, c.will, c.bit
			p.cfg.KeepAlive, p.cfg.Window, p.cfg.SessionExpiry = 77*time.Second, 12, 3600
			conn, done := p.dial()
			got := conn.Next().Connect
			level := byte(p.cfg.Version)
			if c.bit && !p.v5() {
				level |= 0x80
			}
			if got.ProtocolName != "MQTT" || got.ProtocolVersion != level || got.ClientID != "x" || got.CleanStart != c.clean || got.KeepAlive != 77 { // [MQTT-3.1.2-1] to [MQTT-3.1.2-4]
				t.Errorf("sent %s", got)
			}
			password := c.password
			if c.user == "" && !p.v5() { // [MQTT-3.1.2-22] of 3.1.1; 5 has no such rule
				password = ""
			}
			if got.UsernameFlag != (c.user != "") || got.Username != c.user || got.PasswordFlag != (password != "") || string(got.Password) != password { // [MQTT-3.1.2-18] to [MQTT-3.1.2-21]
				t.Errorf("sent %s", got)
			}
			if w := c.will; got.WillFlag != (w != nil) || w != nil && (got.WillTopic != w.Topic || string(got.WillMessage) != w.Payload || got.WillQOS != w.QoS || got.WillRetain != w.Retain) { // [MQTT-3.1.2-8] to [MQTT-3.1.2-17]
				t.Errorf("sent %s", got)
			}
			if p.v5() {
				expiry := got.Properties.SessionExpiryInterval
				if *got.Properties.ReceiveMaximum != 16*12 || (expiry == nil) != c.clean || expiry != nil && *expiry != 3600 { // sections 3.1.2.11.2 and 3.1.2.11.3
					t.Errorf("sent %s", got.Properties)
				}
				if w := c.will; w != nil && *got.WillProperties.WillDelayInterval != w.Delay { // [MQTT-3.1.3-9]
					t.Errorf("sent %s", got.WillProperties)
				}
			}
			conn.Send(script.Connack(false, nil))
			o := <-done
			if o.err != nil {
				t.Fatal(o.err)
			}
			_ = conn.Close()
			o.s.Close()
		}
	})
}

func TestRefusal_EachCode_HasReasonAndRemedy(t *testing.T) {
	for _, c := range []struct {
		v       packet.Version
		code    byte
		reason  string
		message string
	}{ // table 3.1 of section 3.2.2.3, and section 3.2.2.2 of 5
		{packet.V311, 1, "ProtocolVersionRefused", "the server does not support MQTT 3.1.1 (CONNACK 1); set protocolVersion to a version that the server supports"},
		{packet.V311, 2, "ClientIDRejected", "the server rejects the client identifier (CONNACK 2); set clientID to an identifier that the server accepts"},
		{packet.V311, 3, "ServerUnavailable", "the server reports that it is unavailable (CONNACK 3); check the server's log"},
		{packet.V311, 4, "AuthenticationFailed", "the server refuses the user name or password (CONNACK 4); no credentials are set; set credentials.username and credentials.password"},
		{packet.V311, 5, "AuthenticationFailed", "the server does not authorise the client (CONNACK 5); no credentials are set; set credentials.username and credentials.password, and check the server's access rules for this client identifier"},
		{packet.V5, 0x80, "ConnectRefused", "the server refuses the connection (CONNACK 0x80); check the server's log"},
		{packet.V5, 0x81, "ConnectRefused", "the server refuses the connection (CONNACK 0x81); check the server's log"},
		{packet.V5, 0x82, "ConnectRefused", "the server refuses the connection (CONNACK 0x82); check the server's log"},
		{packet.V5, 0x83, "ConnectRefused", "the server refuses the connection (CONNACK 0x83); check the server's log"},
		{packet.V5, 0x84, "ProtocolVersionRefused", "the server does not support MQTT 5 (CONNACK 0x84); set protocolVersion to a version that the server supports"},
		{packet.V5, 0x85, "ClientIDRejected", "the server rejects the client identifier (CONNACK 0x85); set clientID to an identifier that the server accepts"},
		{packet.V5, 0x86, "AuthenticationFailed", "the server refuses the user name or password (CONNACK 0x86); no credentials are set; set credentials.username and credentials.password"},
		{packet.V5, 0x87, "AuthenticationFailed", "the server does not authorise the client (CONNACK 0x87); no credentials are set; set credentials.username and credentials.password, and check the server's access rules for this client identifier"},
		{packet.V5, 0x88, "ServerUnavailable", "the server reports that it is unavailable (CONNACK 0x88); check the server's log"},
		{packet.V5, 0x89, "ServerUnavailable", "the server reports that it is unavailable (CONNACK 0x89); check the server's log"},
		{packet.V5, 0x8A, "AuthenticationFailed", "the server does not authorise the client (CONNACK 0x8a); no credentials are set; set credentials.username and credentials.password, and check the server's access rules for this client identifier"},
		{packet.V5, 0x8C, "AuthenticationFailed", "the server requires an authentication method that the bridge does not support (CONNACK 0x8c); supported are user name and password, and TLS client certificates"},
		{packet.V5, 0x95, "ConnectRefused", "the server refuses the connection (CONNACK 0x95); check the server's log"},
		{packet.V5, 0x97, "QuotaExceeded", "the server's quota is exceeded (CONNACK 0x97); raise it, or use fewer clients"},
		{packet.V5, 0x9C, "ServerUnavailable", "the server redirects the client to another server (CONNACK 0x9c); the bridge does not follow redirects; set the URL to that server"},
		{packet.V5, 0x9D, "ServerUnavailable", "the server redirects the client to another server (CONNACK 0x9d); the bridge does not follow redirects; set the URL to that server"},
		{packet.V5, 0x9F, "ServerUnavailable", "the server reports that it is unavailable (CONNACK 0x9f); check the server's log"},
		{packet.V5, 0xFF, "ConnectRefused", "the server refuses the connection (CONNACK 0xff); check the server's log"},
	} {
		t.Run(fmt.Sprintf("version=%d, code=%#02x", c.v, c.code), func(t *testing.T) {
			p := newPeer(t, c.v)
			conn, done := p.dial()
			conn.Next()
			conn.Send(script.Packet{Type: v5.CONNACK, Code: c.code})
			if e := p.wantError(<-done); e.Reason != c.reason || e.Message != c.message {
				t.Errorf("%s: %s", e.Reason, e.Message)
			}
			conn.WantEnd()
		})
	}
}

func TestRefusal_ServerReasonString_IsQuoted(t *testing.T) {
	p := newPeer(t, packet.V5)
	p.cfg.Username, p.cfg.Password, p.cfg.CredentialsSource = "u", "p", `the Secret "login"`
	for _, c := range []struct {
		code byte
		want string
	}{
		{0x86, `the server refuses the user name or password (CONNACK 0x86, "why"); check the user name and password in the Secret "login"`},
		{0x9C, `the server redirects the client to another server (CONNACK 0x9c, "why"); it refers to another server: "other"; the bridge does not follow redirects; set the URL to that server`},
	} {
		conn, done := p.dial()
		conn.Next()
		conn.Send(script.Packet{Type: v5.CONNACK, Code: c.code, Properties: &v5.Properties{ReasonString: "why", ServerReference: "other"}})
		if e := p.wantError(<-done); e.Message != c.want {
			t.Error(e.Message)
		}
	}
}

// A status message has 512 bytes.
func TestRefusal_LongReasonString_LeavesRoomForTheRemedy(t *testing.T) {
	p := newPeer(t, packet.V5)
	p.cfg.Password, p.cfg.CredentialsSource = "hunter2!", `the Secret "login"`
	p.cfg.Transport.Header = http.Header{"Authorization": {"Bearer s3cr3t-t0ken"}}
	for length := range 220 { // so that the text is cut at each position of the secrets
		conn, done := p.dial()
		conn.Next()
		says := strings.Repeat("x", length) + "hunter2! s3cr3t-t0ken" + strings.Repeat("y", 600)
		conn.Send(script.Packet{Type: v5.CONNACK, Code: 0x87, Properties: &v5.Properties{ReasonString: says, ServerReference: says}})
		e := p.wantError(<-done)
		if len(e.Message) > 512 || !strings.HasSuffix(e.Message, "check the server's access rules for this client identifier") {
			t.Fatal(e.Message)
		}
		if strings.Contains(e.Message, "hun") || strings.Contains(e.Message, "s3c") {
			t.Fatalf("the message shows a part of a secret: %s", e.Message)
		}
	}
}

func TestRefusal_PartsOfLoginMissing_NamesThem(t *testing.T) {
	for _, c := range []struct{ user, password, want string }{
		{"u", "p", `check the user name and password in the Secret "login"`},
		{"u", "", `check the user name in the Secret "login"; the bridge sends no password`},
		{"", "p", `check the password in the Secret "login"; the bridge sends no user name`},
		{"", "", `the bridge sends no user name and no password, because the values in the Secret "login" are empty; set them`},
	} {
		p := newPeer(t, packet.V5)
		p.cfg.Username, p.cfg.Password, p.cfg.CredentialsSource = c.user, c.password, `the Secret "login"`
		if e := p.refused("\x20\x03\x00\x86\x00"); e.Message != "the server refuses the user name or password (CONNACK 0x86); "+c.want {
			t.Error(e.Message)
		}
	}
}

func TestOpen_AnswerIsNotConnack_IsExplained(t *testing.T) {
	const notMQTT = "; check the URL's scheme and port"
	for _, c := range []struct {
		name   string
		v      packet.Version
		answer string
		want   string
	}{
		{"HTTP", packet.V311, "HTTP/1.1 400 Bad Request\r\n", `the server's answer begins with "HTTP/1.1 400 Bad" and is not MQTT` + notMQTT},
		{"HTTP", packet.V5, "HTTP/1.1 400 Bad Request\r\n", `the server's answer begins with "HTTP/1.1 400 Bad" and is not MQTT` + notMQTT},
		{"a PUBACK that looks like a CONNACK", packet.V311, "\x40\x02\x00\x00", `the server's answer begins with "@\x02\x00\x00" and is not MQTT` + notMQTT}, // [MQTT-3.2.0-1]
		{"a greeting that looks like a PUBLISH", packet.V311, "220 mail.example.org ESMTP is here and reads your mail\r\n", `the server's answer begins with "220 mail.example" and is not MQTT` + notMQTT},
		{"a part of a greeting", packet.V5, "220 mail", `the server's answer begins with "220 mail" and is not MQTT` + notMQTT}, // [MQTT-3.2.0-1]
		{"AUTH", packet.V5, "\xf0\x02\x18\x00", "the server sent an AUTH packet: it requests enhanced authentication, which the bridge does not support" + notMQTT + ", and protocolVersion"},
	} {
		t.Run(fmt.Sprintf("%s, version=%d", c.name, c.v), func(t *testing.T) {
			if e := newPeer(t, c.v).refused(c.answer); e.Reason != "ProtocolError" || e.Message != c.want {
				t.Errorf("%s: %s", e.Reason, e.Message)
			}
		})
	}
}

func TestOpen_ServerClosesOrIsSilent_IsExplained(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		conn, done := p.dial()
		conn.Next()
		_ = conn.Close()
		if e := p.wantError(<-done); e.Reason != "ConnectionClosed" {
			t.Error(e)
		}
		for _, answer := range []string{"", "\x20"} { // no answer, and an incomplete answer
			ctx, cancel := context.WithTimeout(t.Context(), brief)
			cfg := p.cfg
			opening := make(chan error, 1)
			start := time.Now()
			go func() {
				_, err := Open(ctx, cfg)
				opening <- err
			}()
			conn = p.server.Accept()
			conn.Next()
			conn.SendBytes(answer)
			if e := p.wantError(opened{nil, <-opening}); e.Reason != "ConnectTimeout" || time.Since(start) > brief+slack {
				t.Errorf("%v after %v", e, time.Since(start))
			}
			conn.WantEnd()
			cancel()
		}
	})
}

func TestOpen_PacketDirectlyAfterConnack_IsHandled(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		conn, done := p.dial()
		conn.Next()
		conn.Send(script.Connack(true, nil), script.Publish(1, 1, "t", "x"))
		l := p.use(conn, <-done)
		l.want("received x")
	})
}

func TestOpen_NoEchoRequired_FailsIfBridgeFlagRefused(t *testing.T) {
	accept := func(c *script.Conn) { c.Send(script.Connack(false, nil)) }
	refuse := func(c *script.Conn) { c.Send(script.Packet{Type: v5.CONNACK, Code: 1}) }
	closed := func(c *script.Conn) { _ = c.Close() }
	for _, c := range []struct {
		name   string
		answer []func(*script.Conn) // to the attempts: with the flag, without it
		reason string               // empty: Open succeeds
	}{
		{"flag accepted", []func(*script.Conn){accept}, ""},
		{"flag refused, accepted without", []func(*script.Conn){refuse, accept}, "EchoNotPrevented"},
		{"closed, accepted without", []func(*script.Conn){closed, accept}, "EchoNotPrevented"},
		{"closed with and without", []func(*script.Conn){closed, closed}, "ConnectionClosed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPeer(t, packet.V311)
			p.cfg.BridgeFlag, p.cfg.RequireNoEcho = true, true
			done := make(chan opened, 1)
			go func() {
				s, err := Open(t.Context(), p.cfg)
				done <- opened{s, err}
			}()
			var last *script.Conn
			for i, answer := range c.answer {
				if bit := p.attempt(func(c *script.Conn) { answer(c); last = c }); bit != (i == 0) {
					t.Errorf("attempt %d: the bridge flag is %v", i, bit)
				}
			}
			if c.reason == "EchoNotPrevented" {
				last.Want("DISCONNECT")
				_ = last.Close()
			}
			o := <-done
			if c.reason == "" {
				if o.err != nil {
					t.Fatal(o.err)
				}
				_ = last.Close()
				o.s.Close()
				return
			}
			if e := p.wantError(o); e.Reason != c.reason {
				t.Errorf("%s: %s", e.Reason, e.Message)
			}
		})
	}
}

func TestGiveUp_OpenSession_EndsAndIsNotOpenedAgain(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		given := errors.New("why")
		l.s.RejectServer(given)
		<-l.s.Done()
		if err := l.s.Err(); !errors.Is(err, given) {
			t.Errorf("it ended with %v", err)
		}
		if _, err := Open(t.Context(), p.cfg); !errors.Is(err, given) {
			t.Errorf("opened again: %v", err)
		}
	})
}

// attempt answers one attempt of Open, and returns whether it had the bridge flag.
func (p *peer) attempt(answer func(*script.Conn)) (bit bool) {
	p.t.Helper()
	conn := p.server.Accept()
	bit = conn.Next().Connect.ProtocolVersion&0x80 != 0
	answer(conn)
	return bit
}
