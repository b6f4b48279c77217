// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// The timeouts are short here; measured times have a tolerance for a slow machine.
const (
	brief = 300 * time.Millisecond
	slack = 2 * time.Second
)

// ended returns the expected DISCONNECT before the end, in MQTT 5. A client has no reason
// code for a server that does not answer (section 3.14.2.1: 0x8D is for servers), and 0
// would discard the will.
func (p *peer) ended() []string {
	if p.v5() {
		return []string{"DISCONNECT 0x80"}
	}
	return nil
}

func (l *link) wantReason(reason string, since time.Time, after time.Duration) {
	l.t.Helper()
	e := l.wantOver()
	if took := time.Since(since); took < after || took > after+slack {
		l.t.Errorf("ended after %v, want %v", took, after)
	}
	if e == nil || e.Reason != reason {
		l.t.Errorf("ended with %v, want %s", e, reason)
	}
}

func TestWatch_PingUnanswered_SessionEnds(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.KeepAlive, p.cfg.PingTimeout = brief, 2*brief/3
		start := time.Now()
		l := p.new()
		l.c.Want("PINGREQ") // [MQTT-3.1.2-23], [MQTT-3.1.2-20] of 5
		l.wantReason("PingTimeout", start, brief+2*brief/3)
		l.c.WantEnd(p.ended()...)
	})
}

func TestWatch_PingsAnswered_SessionContinues(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.KeepAlive, p.cfg.PingTimeout = brief/3, slack
		l := p.new()
		for range 5 {
			l.c.Want("PINGREQ")
			l.c.Send(script.Packet{Type: v5.PINGRESP})
		}
		l.sync()
	})
}

func TestWatch_SessionOnlyReceives_SendsPings(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.KeepAlive, p.cfg.PingTimeout = brief, slack
		l := p.new()
		pinged := make(chan struct{})
		go func() {
			defer close(pinged)
			l.c.Want("PINGREQ", "PINGREQ") // received packets do not replace a ping
		}()
		for {
			select {
			case <-pinged:
				l.sync()
				return
			case <-time.After(brief / 10):
				l.c.Send(script.Publish(0, 0, "t", "x"))
			}
		}
	})
}

func TestWatch_SessionOnlySends_DetectsSilentServer(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.KeepAlive, p.cfg.PingTimeout = brief, brief
		start := time.Now()
		l := p.new()
		go func() {
			for l.s.Publish(message(0, "x"), time.Now()) != Ended {
				l.s.flusher.Flush()
				time.Sleep(brief / 10)
			}
		}()
		l.wantReason("PingTimeout", start, 2*brief)
	})
}

func TestWatch_PingUnanswered_FurtherPingsAreSent(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.KeepAlive, p.cfg.PingTimeout = brief/3, script.Timeout
		l := p.new()
		l.c.Want("PINGREQ", "PINGREQ", "PINGREQ") // [MQTT-3.1.2-23]: otherwise the server would end the session
		l.c.Send(script.Packet{Type: v5.PINGRESP})
	})
}

func TestWatch_NothingAcknowledged_SessionEnds(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		for qos := byte(1); qos <= 2; qos++ {
			p.cfg.State = NewState()
			p.cfg.AckTimeout = brief
			l := p.new()
			start := time.Now()
			l.publish(message(qos, "x"))
			l.c.Next()
			l.c.Send(script.Packet{Type: v5.PINGRESP}) // an answer to a ping does not count
			l.wantReason("AckTimeout", start, brief)
			l.c.WantEnd(append([]string{"PINGREQ"}, p.ended()...)...) // the ping shows whether the server is alive
		}
	})
}

func TestUnanswered_SessionEnded_IsTheTimeWithoutAnAnswer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		end   func(t *testing.T, l *link)
		least time.Duration // 0: none, because no answer was due
	}{
		{"no acknowledgement", func(_ *testing.T, l *link) { l.publish(message(1, "x")) }, brief},
		{"no answer to a ping", func(*testing.T, *link) {}, 2 * brief},
		{"closed while no message is in flight", func(t *testing.T, l *link) {
			time.Sleep(brief / 3) // an idle link is not silent
			if err := l.c.Close(); err != nil {
				t.Error(err)
			}
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeer(t, packet.V5)
			p.cfg.KeepAlive, p.cfg.PingTimeout, p.cfg.AckTimeout = brief, brief, brief
			l := p.new()
			tt.end(t, l)
			_ = l.wantOver()
			if got := l.s.Unanswered(time.Now()); got < tt.least || tt.least == 0 && got != 0 || got > tt.least+slack {
				t.Errorf("unanswered for %s, want %s", got, tt.least)
			}
		})
	}
}

func TestWatch_MessageSkipped_SessionEnds(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.AckTimeout = 2 * brief
		l := p.new()
		l.publish(message(1, "left out"), message(1, "next"))
		l.c.Want("PUBLISH 1 qos1 t=left out", "PUBLISH 2 qos1 t=next")
		start := time.Now()
		l.c.Send(script.Ack(v5.PUBACK, 2, 0)) // [MQTT-4.6.0-2]
		l.want("acknowledged next")
		go func() {
			for l.s.Publish(message(1, "more"), time.Now()) != Ended {
				l.s.flusher.Flush()
				if p, err := l.c.TryNext(); err == nil && p.Type == v5.PUBLISH {
					_, _ = l.c.Write([]byte(l.c.Encode(script.Ack(v5.PUBACK, p.ID, 0)))) // progress; it fails after the session has ended
				}
				time.Sleep(brief / 10)
			}
		}()
		l.wantReason("AckTimeout", start, 2*brief)
	})
}

func TestWatch_SlowAcknowledgements_SessionContinues(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.AckTimeout = brief
		l := p.new()
		const messages = 6 // takes twice the timeout
		for range messages {
			l.publish(message(1, "x"))
			l.c.Next()
		}
		for id := range uint16(messages) {
			time.Sleep(brief / 3) // the server's slowness
			l.c.Send(script.Ack(v5.PUBACK, id+1, 0))
			l.want("acknowledged x")
		}
		l.sync()
	})
}

func TestWatch_NewConnection_RestartsAckTimeout(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.AckTimeout = brief
		l := p.new()
		start := time.Now()
		m := message(1, "x")
		l.publish(m)
		l.wantReason("AckTimeout", start, brief)
		l = p.resume()
		l.publish(m)
		l.c.Want("PUBLISH 1 qos1 dup t=x")
		l.c.Send(script.Ack(v5.PUBACK, 1, 0))
		l.want("acknowledged x")
	})
}
