// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"strconv"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

func TestSession_ServerSendsPubrelsAndReadsNothing_SessionEnds(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		const total = 64 << 20
		pubrels := []byte(strings.Repeat(l.c.Encode(script.Ack(v5.PUBREL, 7, 0)), 16<<10))
		sent := 0
		for sent < total {
			n, err := l.c.Write(pubrels)
			if sent += n; err != nil {
				break // the session has ended
			}
		}
		if sent >= total {
			t.Fatalf("the session continues after %d bytes of PUBRELs; %d bytes of answers wait", sent, l.s.conn.Buffered())
		}
		e := l.wantOver()
		if want := "the server sends packets and does not read the answers: more than 4194304 bytes wait; check the server's log, and update the server if it is faulty"; e == nil || e.Message != want {
			t.Errorf("ended with %v, want %s", e, want)
		}
		if !l.s.Ending().ByServer {
			t.Error("the server has not ended the session")
		}
	})
}

// A server that is slow to read must not lose its session: all acknowledgements that the protocol permits may wait
// behind a large message.
func TestSession_AllAcknowledgementsWaitBehindALargeMessage_SessionContinues(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		l.publish(message(1, strings.Repeat("x", large)))
		const ids = 65535
		var pubrels strings.Builder
		for id := range uint16(ids) {
			pubrels.WriteString(l.c.Encode(script.Ack(v5.PUBREL, id+1, 0)))
		}
		l.c.SendBytes(pubrels.String())
		l.c.Want("PUBLISH 1 qos1 t=" + strings.Repeat("x", large))
		for range ids {
			if got := l.c.Next(); got.Type != v5.PUBCOMP {
				t.Fatalf("the server receives %s", got)
			}
		}
		l.c.Send(script.Ack(v5.PUBACK, 1, 0))
		l.want("acknowledged " + strings.Repeat("x", large))
	})
}

// sink is a handler that acknowledges nothing.
type sink struct{}

func (sink) Received(*Inbound)                {}
func (sink) Redelivered(*Inbound)             {}
func (sink) Acknowledged(*Outgoing, *Refusal) {}
func (sink) Ready()                           {}

func TestSession_ServerReusesAPacketIdentifierWithoutEnd_SessionEnds(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		c, done := p.dial()
		c.Next()
		c.Send(script.Connack(false, nil))
		s := p.keep(c, <-done)
		s.Start(sink{})
		var all strings.Builder
		for n := range maxUnackedInbound + 1 {
			all.WriteString(c.Encode(script.Publish(7, 1, "t", strconv.Itoa(n))))
		}
		_, _ = c.Write([]byte(all.String())) // fails after the session has ended
		select {
		case <-s.Done():
		case <-time.After(script.Timeout):
			t.Fatal("the session does not end")
		}
		const want = "the server sent more than 65535 messages without waiting for an acknowledgement, so that their packet identifiers are not unique; check the server's log, and update the server if it is faulty"
		if e := Explain(s.Err()); e.Message != want {
			t.Errorf("ended with %s, want %s", e.Message, want)
		}
	})
}
