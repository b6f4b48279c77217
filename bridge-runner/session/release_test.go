// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// The two servers share session state. A QoS 1 message, such as a notification, is in
// flight under the identifier under which the server holds another message at QoS 2.
func TestAbandon_IdentifierInUseAtQoS1_IsReleased(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		second := p.cfg.State
		l := p.new()
		notification := message(1, "notification")
		l.publish(notification)
		l.c.Want("PUBLISH 1 qos1 t=notification")
		l.cut()
		p.cfg.State = NewState() // the other server's
		first := p.cfg.State
		l = p.new()
		l.publish(message(2, "exact"))
		l.c.Want("PUBLISH 1 qos2 t=exact")
		l.cut()
		p.cfg.State = second
		l = p.resume()
		first.Abandon(l.s)
		l.publish(notification)
		l.c.Want("PUBLISH 1 qos1 dup t=notification")
		exact := message(2, "exact")
		l.wantResult(Full, exact)
		l.s.flusher.Flush()
		l.c.Want("PUBREL 1")
		l.c.Send(script.Ack(v5.PUBCOMP, 1, 0))
		l.publishWhenReady(exact)
		l.c.Want("PUBLISH 2 qos2 t=exact")
		l.c.Send(script.Ack(v5.PUBACK, 1, 0))
		l.want("acknowledged notification")
	})
}

// A server that began its session after the other session ended holds none of its messages.
func TestAbandon_SessionBegunAfterOtherEnded_NothingIsReleased(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		first := p.cfg.State
		l := p.new()
		l.publish(message(2, "exact"))
		l.c.Want("PUBLISH 1 qos2 t=exact")
		l.cut()
		p.cfg.State = NewState() // the other server's
		l = p.new()
		l.cut()
		l = p.resume()
		first.Abandon(l.s)
		l.publish(message(2, "exact"))
		l.c.Want("PUBLISH 1 qos2 t=exact")
	})
}

// A server that does not support QoS 2 may end the session at the first PUBREL. QoS 2
// messages are then sent at QoS 1.
func TestStaleQoS2_ServerEndsSessionAtEachPubrel_MessagesSentAtQoS1(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		m := message(2, "x")
		for n := 0; ; n++ {
			l := p.resume()
			if l.s.Publish(m, time.Now()) == Sent {
				l.s.flusher.Flush()
				l.c.Want("PUBLISH 4097 qos1 t=x")
				l.c.Send(script.Ack(v5.PUBACK, 4097, 0))
				l.want("acknowledged x")
				if got := ExplainShortfalls(l.s.Shortfalls(2)); len(got) != 1 || !strings.HasPrefix(got[0].Message, "the server accepts messages at QoS 1 at most and the rules request QoS 2") {
					t.Errorf("shortfalls: %q", got)
				}
				return
			}
			if n == 2*maxEndsAtRelease {
				t.Fatalf("nothing is sent in %d sessions", n)
			}
			l.s.flusher.Flush()
			if got := l.c.Next(); got.Type != v5.PUBREL {
				t.Fatalf("%s instead of PUBREL", got)
			}
			l.cut()
		}
	})
}

// Two clients with one client identifier end each other's sessions. This says nothing about PUBRELs.
func TestStaleQoS2_SessionsTakenOver_NoIdentifierIsRetired(t *testing.T) {
	p := newPeer(t, packet.V5)
	m := message(2, "x")
	for range maxEndsAtRelease {
		l := p.resume()
		l.wantResult(Full, m)
		l.s.flusher.Flush()
		if got := l.c.Next(); got.Type != v5.PUBREL {
			t.Fatalf("%s instead of PUBREL", got)
		}
		l.c.Send(script.Packet{Type: v5.DISCONNECT, Code: CodeSessionTakenOver})
		_ = l.wantOver()
	}
	l := p.resume()
	l.publishWhenReleased(m, qos2IDs())
	l.c.Want("PUBLISH 1 qos2 t=x")
}

// While the server answers the PUBRELs, each new message causes an attempt to publish the
// waiting message. An attempt must be cheap at any number of identifiers.
func TestPublish_WaitingForPubcomps_IsFast(t *testing.T) {
	for name, free := range map[string]Blocks{"nothing is known": 0, "all blocks are free": allBlocks} {
		t.Run(name, func(t *testing.T) {
			const times = 10000
			s := &Session{state: NewState(), version: packet.V311, flusher: &Flusher{}}
			s.state.AssumeFreeQoS2Blocks(free)
			s.state.beginConnection(true)
			start := time.Now()
			for range times {
				if id := s.nextIDLocked(2, start); id != 0 {
					t.Fatalf("the identifier %d is free", id)
				}
			}
			if passed := time.Since(start); passed > times*50*time.Microsecond {
				t.Errorf("%v for each of %d attempts", passed/times, times)
			}
		})
	}
}

// A server may ignore the PUBREL of an unknown identifier although it supports QoS 2. Only
// the first messages wait for the answer.
func TestStaleQoS2_ServerIgnoresUnknownPubrels_MessagesSentAtQoS1(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.AckTimeout = 200 * time.Millisecond
		var m *Outgoing
		exact := map[uint16]bool{}
		sessions := 0
		for sent := 0; sent < 5; {
			l := p.resume()
			sessions++
			if sessions > 4 {
				t.Fatalf("%d messages are sent in %d sessions", sent, sessions)
			}
			for m = message(2, "x"); l.s.Publish(m, time.Now()) == Sent; m = message(2, "x") {
				l.s.flusher.Flush()
				for done := false; !done; {
					switch got := l.c.Next(); {
					case got.Type == v5.PINGREQ:
						l.c.Send(script.Packet{Type: v5.PINGRESP})
					case got.Type == v5.PUBLISH && got.QoS == 1:
						l.c.Send(script.Ack(v5.PUBACK, got.ID, 0))
						done = true
					case got.Type == v5.PUBLISH:
						exact[got.ID] = true
						l.c.Send(script.Ack(v5.PUBREC, got.ID, 0))
					case got.Type == v5.PUBREL && exact[got.ID]:
						l.c.Send(script.Ack(v5.PUBCOMP, got.ID, 0))
						done = true
					}
				}
				l.want("acknowledged x")
				sent++
				if sent == 5 {
					return
				}
			}
			l.s.flusher.Flush()
			go func() { // the server reads, and answers only pings
				for {
					got, err := l.c.TryNext()
					if err != nil {
						return
					}
					if got.Type == v5.PINGREQ {
						_, _ = l.c.Write([]byte(l.c.Encode(script.Packet{Type: v5.PINGRESP})))
					}
				}
			}()
			_ = l.wantOver()
		}
	})
}
