// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// pair returns two sessions that share a Flusher.
func pair(t *testing.T, v packet.Version) (f *Flusher, a, b *link) {
	t.Helper()
	f = &Flusher{}
	pa, pb := newPeer(t, v), newPeer(t, v)
	pa.cfg.Flusher, pb.cfg.Flusher = f, f
	return f, pa.new(), pb.new()
}

// forward makes a handler publish each received message on another session, as a bridge does.
type forward struct {
	*recorder
	to *Session
}

func (f forward) Received(in *Inbound) {
	f.to.Publish(message(in.QoS, in.Payload), time.Now())
	in.Ack()
}

func TestReader_HandlerWritesToOtherSession_BothAreSent(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		var f Flusher
		p.cfg.Flusher = &f
		b := p.new()
		from := newPeer(t, p.cfg.Version)
		from.cfg.Flusher = &f
		c, s := from.idle()
		s.Start(forward{b.recorder, b.s})
		c.Send(script.Publish(7, 1, "t", "x"), script.Publish(8, 1, "t", "y"))
		b.c.Want("PUBLISH 1 qos1 t=x", "PUBLISH 2 qos1 t=y")
		c.Want("PUBACK 7", "PUBACK 8")
	})
}

func TestFlusher_OpeningSession_IsSent(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		f, a, b := pair(t, p.cfg.Version)
		subscribed := a.subscribing(many(1)) // calls Flush
		a.c.Send(granted(a.c.Next()), script.Publish(9, 1, "t", "x"))
		a.want("received x")
		a.mu.Lock()
		a.in[0].Ack()
		a.mu.Unlock()
		if got := b.s.Publish(message(0, "y"), time.Now()); got != Written {
			t.Fatal(got)
		}
		f.Flush()
		a.c.Want("PUBACK 9")
		b.c.Want("PUBLISH qos0 t=y")
		if err := <-subscribed; err != nil {
			t.Error(err)
		}
	})
}

// Ready may be called while a session is flushed. It may write to the same session, and to a
// session that was flushed before.
func TestFlusher_ReadyWritesDuringFlush_AllIsSent(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		f, a, b := pair(t, p.cfg.Version)
		ready := make(chan struct{})
		b.ready = func() {
			a.s.Publish(message(0, "to the other"), time.Now())
			b.s.Publish(message(0, "to the same"), time.Now())
			close(ready)
		}
		a.s.Publish(message(0, "before"), time.Now())
		large := string(make([]byte, maxUnsent))
		for b.s.Publish(message(0, large), time.Now()) != Full { // a reader that has just started flushes, too
		}
		f.Flush()
		<-ready // in Flush, or by the socket's goroutine
		a.c.Want("PUBLISH qos0 t=before", "PUBLISH qos0 t=to the other")
		for payload := large; payload != "to the same"; {
			payload = b.c.Next().Payload
			if payload != large && payload != "to the same" {
				t.Fatalf("%.20q", payload)
			}
		}
	})
}

func TestFlusher_SessionsThatEnd_AreNotWrittenTo(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		f, a, b := pair(t, p.cfg.Version)
		a.s.Publish(message(0, "x"), time.Now()) // is registered
		closed := make(chan struct{})
		go func() {
			a.s.Close()
			close(closed)
		}()
		a.c.Want("PUBLISH qos0 t=x") // Close sends it
		a.c.WantEnd("DISCONNECT")
		<-closed
		if got := a.s.Publish(message(0, "y"), time.Now()); got != Ended {
			t.Errorf("publishing after Close: %v", got)
		}
		b.s.Publish(message(0, "z"), time.Now())
		f.Flush()
		b.c.Want("PUBLISH qos0 t=z")
		if f.next() != nil {
			t.Error("a session remains registered")
		}
	})
}

// Whichever goroutine sends a packet: after the last call of Flush, none is left.
func TestFlusher_ManyGoroutinesWrite_NothingIsLeft(t *testing.T) {
	const writers, messages = 8, 200
	f, a, b := pair(t, packet.V311)
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range messages {
				to := []*link{a, b}[(w+i)%2]
				for to.s.Publish(message(0, fmt.Sprint(w)), time.Now()) != Written {
					f.Flush()
				}
				f.Flush()
			}
		})
	}
	for _, l := range []*link{a, b} {
		for range writers * messages / 2 {
			if got := l.c.Next(); got.Type != v5.PUBLISH {
				t.Fatal(got)
			}
		}
	}
	writing.Wait()
	if s := f.next(); s != nil && len(s.unflushed) > 0 {
		t.Error("bytes remain")
	}
}

func TestFlusher_AddAndNext_DoNotAllocate(t *testing.T) {
	var f Flusher
	sessions := []*Session{{}, {}, {}}
	if n := testing.AllocsPerRun(1000, func() {
		for _, s := range sessions {
			f.add(s)
		}
		for _, s := range sessions {
			if f.next() != s {
				t.Fatal("another session")
			}
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Further packets may be delayed only if no program waits for an answer to the received ones.
func TestIdle_AnswerAwaited_PacketsMayNotBeDelayed(t *testing.T) {
	for name, tc := range map[string]struct {
		packets  []script.Packet
		mayDelay bool
	}{
		"nothing":          {nil, true},
		"QoS 0":            {[]script.Packet{script.Publish(0, 0, "t", "x")}, true},
		"many of QoS 0":    {[]script.Packet{script.Publish(0, 0, "t", "x"), script.Publish(0, 0, "t", "y")}, true},
		"QoS 1":            {[]script.Packet{script.Publish(1, 1, "t", "x")}, false},
		"QoS 2":            {[]script.Packet{script.Publish(1, 2, "t", "x")}, false},
		"QoS 1 and 0":      {[]script.Packet{script.Publish(1, 1, "t", "x"), script.Publish(0, 0, "t", "y")}, false},
		"PUBACK":           {[]script.Packet{script.Ack(v5.PUBACK, 1, 0)}, false},
		"PUBREC":           {[]script.Packet{script.Ack(v5.PUBREC, 1, 0)}, false},
		"PUBREL":           {[]script.Packet{script.Ack(v5.PUBREL, 1, 0)}, false},
		"PUBCOMP":          {[]script.Packet{script.Ack(v5.PUBCOMP, 1, 0)}, false},
		"answer to a ping": {[]script.Packet{{Type: v5.PINGRESP}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			versions(t, func(t *testing.T, p *peer) {
				c, s := p.idle()
				s.handler = &recorder{t: t, s: s, events: make(chan string, 10), awake: make(chan struct{}, 1)}
				received := ""
				for _, packet := range tc.packets {
					received += c.Encode(packet)
				}
				for range 2 { // the first call must not affect the second
					s.conn.buf, s.conn.from, s.conn.to = []byte(received), 0, len(received)
					if err := s.handleAll(); err != nil {
						t.Fatal(err)
					}
					if got := s.idle(); got != tc.mayDelay {
						t.Errorf("may be delayed: %t", got)
					}
				}
				if !s.idle() {
					t.Error("the packets that were answered count again")
				}
			})
		})
	}
}

// The reader ends without a read that waits. The next call of Flush by another goroutine may be
// far away: the session that ends may not be in use yet.
func TestReader_ConnectionEndsAfterMessage_OtherSessionIsSent(t *testing.T) {
	for name, tc := range map[string]struct {
		last   string
		reject bool
	}{
		"closed":    {"", false},
		"malformed": {"\x30\x01\x00", false}, // the length of the topic is cut off
		"rejected":  {"", true},
	} {
		t.Run(name, func(t *testing.T) {
			versions(t, func(t *testing.T, p *peer) {
				var f Flusher
				p.cfg.Flusher = &f
				b := p.new()
				from := newPeer(t, p.cfg.Version)
				from.cfg.Flusher = &f
				c, s := from.idle()
				c.SendBytes(c.Encode(script.Publish(0, 0, "t", "x")) + tc.last)
				if tc.reject {
					s.Start(rejecter{forward{b.recorder, b.s}, s})
				} else {
					_ = c.Close() // the message and the end have arrived when the session reads
					s.Start(forward{b.recorder, b.s})
				}
				b.c.Want("PUBLISH qos0 t=x")
			})
		})
	}
}

// rejecter rejects the server after it has forwarded a message.
type rejecter struct {
	forward
	from *Session
}

func (r rejecter) Received(in *Inbound) {
	r.forward.Received(in)
	r.from.RejectServer(errors.New("rejected"))
}
