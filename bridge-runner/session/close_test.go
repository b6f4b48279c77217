// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

func TestClose_PendingAcknowledgements_SentBeforeDisconnect(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		l.c.Send(script.Publish(1, 1, "t", "a"), script.Publish(2, 2, "t", "b"))
		l.want("received a", "received b")
		for _, in := range l.in { // not flushed
			in.Ack()
		}
		go l.s.Close()
		l.c.Want("PUBACK 1", "PUBREC 2")
		l.c.WantEnd("DISCONNECT") // [MQTT-3.14.4-1], and that the network connection is closed
		_ = l.c.Close()           // [MQTT-3.14.4-2]: the server closes, too
		<-l.s.Done()
		if err := l.s.Err(); err != nil {
			t.Errorf("a closed session has the error %v", err)
		}
		l.wantResult(Ended, message(1, "late"))
		l.s.Close() // a second Close returns at once
	})
}

func TestClose_ConcurrentPublishes_DisconnectIsLast(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		for range 100 {
			l := p.new()
			var publishing sync.WaitGroup
			for range 2 {
				publishing.Go(func() {
					for l.s.Publish(message(0, "x"), time.Now()) != Ended {
						l.s.flusher.Flush()
					}
				})
			}
			l.c.Next()
			go l.s.Close()
			var last script.Packet
			for {
				next, err := l.c.TryNext()
				if err != nil {
					break
				}
				if last.Type == v5.DISCONNECT {
					t.Fatalf("%s after the DISCONNECT", next) // [MQTT-3.14.4-1]
				}
				last = next
			}
			if last.Type != v5.DISCONNECT {
				t.Fatalf("%s is the last packet", last)
			}
			_ = l.c.Close() // as the server must now
			publishing.Wait()
		}
	})
}

func TestClose_ServerKeepsConnection_ReturnsWithinTimeout(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		start := time.Now()
		l.s.Close()
		if took := time.Since(start); took > closeTimeout+script.Timeout/4 {
			t.Errorf("it took %v", took)
		}
		l.c.WantEnd("DISCONNECT")
	})
}

func TestClose_UnreadDataFromServer_ServerReadsEverything(t *testing.T) {
	const messages = 5000
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.Window = 65535
		l := p.new()
		for i := range messages {
			l.c.Send(script.Publish(uint16(i+1), 1, "t", "x"))
		}
		for range messages {
			l.want("received x")
			l.ack("x")
		}
		go func() { // messages that the handler receives before Close begins
			for {
				select {
				case <-l.events:
				case <-l.s.Done():
					return
				}
			}
		}()
		// The client does not read these messages any more, which would make the system
		// reset the connection.
		more := make(chan struct{})
		unread := strings.Repeat(l.c.Encode(script.Publish(0, 0, "t", "unread")), 1<<16)
		go func() {
			defer close(more)
			_, _ = io.WriteString(l.c, unread) // the connection may end first
		}()
		go l.s.Close()
		for i := range messages {
			l.c.Want(fmt.Sprintf("PUBACK %d", i+1))
		}
		l.c.WantEnd("DISCONNECT")
		_ = l.c.Close()
		<-more
		<-l.s.Done()
	})
}

func TestErr_ConnectionLost_KeptAfterClose(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		if l.s.Err() != nil {
			t.Error("an open session has an error")
		}
		_ = l.c.Close()
		if e := l.wantOver(); e == nil || e.Reason != "ConnectionClosed" || e.Message != "the server or the network closed the connection; check the server's log" {
			t.Errorf("ended with %v", e)
		}
		l.s.Close()
		if l.s.Err() == nil {
			t.Error("Close clears the error of a session that has ended")
		}
	})
}

func TestDisconnect_ReasonCodes_AreExplained(t *testing.T) {
	reference := &v5.Properties{ServerReference: "other:1883", ReasonString: "busy"}
	for _, c := range []struct {
		code       byte
		properties *v5.Properties
		reason     string
		message    string
	}{ // section 3.14.2.1
		{0x00, nil, "Disconnected", "the server ended the session (DISCONNECT 0x00); check the server's log"},
		{0x81, nil, "Disconnected", "the server ended the session (DISCONNECT 0x81); check the server's log"},
		{0x87, nil, "AuthenticationFailed", "the server no longer authorises the client (DISCONNECT 0x87); check the server's access rules for this client identifier"},
		{0x89, nil, "ServerUnavailable", "the server is shutting down, or too busy (DISCONNECT 0x89)"},
		{0x8B, nil, "ServerUnavailable", "the server is shutting down, or too busy (DISCONNECT 0x8b)"},
		{0x8E, nil, "SessionTakenOver", "another client, perhaps a bridge in another cluster, has connected with the client identifier of this bridge, which its status shows; set another clientID, or remove it, because the default is different for each bridge (DISCONNECT 0x8e)"},
		{0x97, nil, "QuotaExceeded", "the server's quota is exceeded (DISCONNECT 0x97); raise it on the server"},
		{0x98, nil, "Disconnected", "the server's administrator ended the session (DISCONNECT 0x98)"},
		{0x9C, reference, "ServerUnavailable", `the server redirects the client to another server (DISCONNECT 0x9c, "busy"); it refers to another server: "other:1883"; the bridge does not follow redirects; set the URL to that server`},
		{0x9D, nil, "ServerUnavailable", "the server redirects the client to another server (DISCONNECT 0x9d); the bridge does not follow redirects; set the URL to that server"},
		{0x9F, nil, "ServerUnavailable", "the server is shutting down, or too busy (DISCONNECT 0x9f)"},
	} {
		t.Run(fmt.Sprintf("code=%#02x", c.code), func(t *testing.T) {
			l := newPeer(t, packet.V5).new()
			l.c.Send(script.Packet{Type: v5.DISCONNECT, Code: c.code, Properties: c.properties})
			e := l.wantOver()
			if e == nil || e.Reason != c.reason || e.Message != c.message {
				t.Errorf("ended with %v", e)
			}
			l.c.WantEnd() // [MQTT-4.13.1-1] requires no answer
		})
	}
}

func TestDone_ServerKeepsSending_NoHandlerCalls(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		messages := strings.Repeat(l.c.Encode(script.Publish(0, 0, "t", "x")), 100)
		go func() {
			for {
				if _, err := io.WriteString(l.c, messages); err != nil {
					return
				}
			}
		}()
		taken := make(chan struct{})
		go func() {
			for range l.events {
				select {
				case taken <- struct{}{}:
				default:
				}
			}
		}()
		<-taken
		go l.s.Close()
		<-l.s.Done()
		close(l.events) // a later event would panic
	})
}

// After DISCONNECT the server may still send. The handler receives nothing of that, because
// it would receive only a part, and out of order.
func TestClose_ServerSendsMeanwhile_NoHandlerCalls(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		closed := make(chan struct{})
		go func() {
			l.s.Close()
			close(closed)
		}()
		l.c.Want("DISCONNECT")
		for id := range uint16(20) { // one by one, so that one read does not return all of them
			l.c.Send(script.Publish(id+1, 1, "t", "late"))
			time.Sleep(time.Millisecond) // no event shows that the message is read
		}
		_ = l.c.Close()
		<-closed
		l.wantNoMore()
	})
}
