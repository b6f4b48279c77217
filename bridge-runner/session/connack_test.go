// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"strings"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// [MQTT-3.2.2-1], [MQTT-3.2.2-2] of 5: a server must not do so. It is unknown which
// messages it holds, as after a restart of the runner.
func TestConnack_SessionAfterCleanStart_ConnectsAndReleasesStaleQoS2(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.CleanStart, p.cfg.Window = true, 1
		l := p.new()
		l.publish(message(2, "before"))
		l.c.Want("PUBLISH 1 qos2 t=before")
		l.cut()
		l = p.resume()
		if l.s.Resumed() || l.s.State().Subscribed() {
			t.Error("the session is resumed")
		}
		l.c.Send(script.Duplicate(script.Publish(9, 1, "t", "queued"))) // the message is new here
		l.want("received queued")
		l.wantResult(Full, message(2, "exact"))
		l.s.flusher.Flush()
		if got := l.c.Next().String(); !strings.HasPrefix(got, "PUBREL") {
			t.Errorf("%s before stale identifiers are released", got)
		}
		if got := ExplainRemarks(l.s.Remarks()); len(got) != 1 || !strings.Contains(got[0], "Session Present set, though the bridge requested a new session") {
			t.Errorf("remarks: %q", got)
		}
	})
}

func TestConnack_MistakesOfRealServers_ConnectAndAreRemarkedOn(t *testing.T) {
	p := newPeer(t, packet.V5)
	l := p.connect(script.Connack(false, &v5.Properties{MaximumQOS: new(byte(2)), ReceiveMaximum: new(uint16(0)), RetainAvailable: new(byte(2))}))
	l.publish(message(2, "x"))
	l.c.Want("PUBLISH 1 qos2 t=x")
	l.wantResult(Full, message(1, "one at a time"))
	if got := ExplainRemarks(l.s.Remarks()); len(got) != 3 {
		t.Errorf("remarks: %q", got)
	}
	p311 := newPeer(t, packet.V311)
	conn, done := p311.dial()
	conn.Next()
	conn.SendBytes("\x20\x02\x03\x00") // a reserved flag, and a session
	if l := p311.use(conn, <-done); !l.s.Resumed() {
		t.Error("the session is not resumed")
	}
}

func TestConnack_UnclearMeaning_ErrorSaysWhatToDo(t *testing.T) {
	const (
		urlHint = "; check the URL's scheme and port, and protocolVersion"
		version = "; set protocolVersion to a version that the server supports"
	)
	for _, c := range []struct {
		v       packet.Version
		answer  string
		reason  string
		message string
	}{
		{packet.V5, "\x20\x02\x00\x00", "ProtocolVersionRefused", "the server seems not to support MQTT 5: the server sent a CONNACK of 2 bytes with code 0, in the format of MQTT 3.1.1; the server may support only that version" + version},
		{packet.V5, "\x20\x02\x00\x87", "AuthenticationFailed", "the server does not authorise the client (CONNACK 0x87); no credentials are set; set credentials.username and credentials.password, and check the server's access rules for this client identifier"},
		{packet.V5, "\x20\x03\x01\x05\x00", "AuthenticationFailed", "the server does not authorise the client (CONNACK 5); no credentials are set; set credentials.username and credentials.password, and check the server's access rules for this client identifier"},
		{packet.V5, "\x20\x05\x00\x00\x02\x7f\x01", "ProtocolError", "the server sent a CONNACK with the property 0x7f, which MQTT 5 does not define" + urlHint},
		{packet.V5, "\x20\x03\x00\x00\x05", "ProtocolError", "the server sent a CONNACK with a property length of 5, which exceeds the packet" + urlHint},
		{packet.V311, "\x20\x03\x00\x00\x00", "ProtocolVersionRefused", "the server seems not to support MQTT 3.1.1: the server sent a CONNACK of 3 bytes; the server may support only another version of MQTT" + version},
		{packet.V311, "\x20\x02\x00\x84", "ProtocolVersionRefused", "the server does not support MQTT 3.1.1 (CONNACK 132)" + version},
		{packet.V311, "\x20\x02\x00\x09", "ConnectRefused", "the server refuses the connection (CONNACK 9); check the server's log"},
		{packet.V311, "\x20\x02\x01\x04", "AuthenticationFailed", "the server refuses the user name or password (CONNACK 4); no credentials are set; set credentials.username and credentials.password"},
	} {
		if e := newPeer(t, c.v).refused(c.answer); e.Reason != c.reason || e.Message != c.message {
			t.Errorf("%q: %s: %s", c.answer, e.Reason, e.Message)
		}
	}
}
