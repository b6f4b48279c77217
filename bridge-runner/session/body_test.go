// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// largePayload returns a payload whose packet has a buffer of its own. Payloads with different numbers
// differ in every word.
func largePayload(n int) string { return strings.Repeat(fmt.Sprintf("%07d ", n), 4<<10) }

func TestBodySize_EachBody_FitsAndWastesAtMostAnEighth(t *testing.T) {
	sizes := map[int]int{} // by pool
	for n := minBody; n <= maxBody; n++ {
		size, pool := bodySize(n)
		if size < n || size > n+n/8+1 {
			t.Fatalf("a body of %d bytes has a buffer of %d bytes", n, size)
		}
		if pool < 0 || pool >= len(bodyPools) {
			t.Fatalf("a body of %d bytes has pool %d of %d", n, pool, len(bodyPools))
		}
		if known, ok := sizes[pool]; ok && known != size {
			t.Fatalf("pool %d has buffers of %d and of %d bytes", pool, known, size)
		}
		sizes[pool] = size
	}
	if len(sizes) != len(bodyPools) {
		t.Errorf("%d of %d pools are used", len(sizes), len(bodyPools))
	}
}

// holder is a handler that keeps all messages, and acknowledges none.
type holder struct{ received, redelivered chan *Inbound }

func (h holder) Received(in *Inbound)             { h.received <- in }
func (h holder) Redelivered(in *Inbound)          { h.redelivered <- in }
func (h holder) Acknowledged(*Outgoing, *Refusal) {}
func (h holder) Ready()                           {}

// hold opens and starts a session with a holder.
func (p *peer) hold(resumed bool) (*link, holder) {
	p.t.Helper()
	c, done := p.dial()
	c.Next()
	c.Send(script.Connack(resumed, nil))
	s := p.keep(c, <-done)
	h := holder{make(chan *Inbound, 100), make(chan *Inbound, 100)}
	s.Start(h)
	return &link{recorder: &recorder{t: p.t, s: s}, s: s, c: c}, h
}

func next(t *testing.T, from chan *Inbound) *Inbound {
	t.Helper()
	select {
	case in := <-from:
		return in
	case <-time.After(script.Timeout):
		t.Fatal("no message arrives")
		return nil
	}
}

// wantContent fails if the content of a message is not as it was sent.
func wantContent(t *testing.T, in *Inbound, n int) {
	t.Helper()
	if in.Payload != largePayload(n) {
		t.Errorf("message %d has %d bytes %.16q, want %.16q", n, len(in.Payload), in.Payload, largePayload(n))
	}
}

// reuse makes the session receive messages that are released at once, so that they overwrite the
// buffers that were released before.
func (l *link) reuse(h holder) {
	l.t.Helper()
	for range 8 {
		l.c.Send(script.Publish(0, 0, "t", largePayload(9999)))
	}
	for range 8 {
		in := next(l.t, h.received)
		wantContent(l.t, in, 9999)
		in.Release()
		if in.Payload != "" {
			l.t.Fatal("a released message has a payload")
		}
	}
}

func TestRelease_BeforeTheAcknowledgement_KeepsTheContent(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l, h := p.hold(false)
		for n, qos := range []byte{1, 2, 1, 2} {
			l.c.Send(script.Publish(uint16(n+1), qos, "t", largePayload(n)))
		}
		var in []*Inbound
		for range 4 {
			in = append(in, next(t, h.received))
		}
		for _, m := range in {
			m.Release() // the session needs the content to recognize the message
		}
		l.reuse(h)
		for n, m := range in {
			wantContent(t, m, n)
		}
		l.cut()
		for _, m := range in {
			m.Ack() // there is no connection
			m.Release()
		}
		l, h = p.hold(true)
		l.reuse(h)
		for n, qos := range []byte{1, 2, 1, 2} {
			l.c.Send(script.Duplicate(script.Publish(uint16(n+1), qos, "t", largePayload(n))))
			wantContent(t, next(t, h.redelivered), n)
		}
		l.c.Want("PUBACK 1", "PUBREC 2", "PUBACK 3", "PUBREC 4")
		for _, m := range in {
			m.Release()
			if m.Payload != "" {
				t.Error("an acknowledged message is not released")
			}
		}
		l.reuse(h)
		l.c.Send(script.Duplicate(script.Publish(2, 2, "t", largePayload(1)))) // PUBREL was not sent
		wantContent(t, next(t, h.redelivered), 1)
		l.c.Want("PUBREC 2")
	})
}

// Messages are acknowledged in the order in which they arrived, so Ack need not write.
func TestRelease_AcknowledgementWaitsForAnEarlierMessage_KeepsTheContent(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l, h := p.hold(false)
		l.c.Send(script.Publish(1, 1, "t", largePayload(1)), script.Publish(2, 1, "t", largePayload(2)))
		first, second := next(t, h.received), next(t, h.received)
		second.Ack()
		second.Release()
		l.reuse(h)
		wantContent(t, second, 2)
		l.cut()
		l, h = p.hold(true)
		l.c.Send(script.Duplicate(script.Publish(1, 1, "t", largePayload(1))), script.Duplicate(script.Publish(2, 1, "t", largePayload(2))))
		next(t, h.redelivered)
		next(t, h.redelivered)
		first.Ack()
		l.s.flusher.Flush()
		l.c.Want("PUBACK 1", "PUBACK 2")
	})
}

func TestRelease_TopicAndProperties_StayValid(t *testing.T) {
	p := newPeer(t, packet.V5)
	l, h := p.hold(false)
	m := script.Publish(1, 1, "a/topic", largePayload(1))
	m.Properties = &v5.Properties{
		ContentType: "text/plain", ResponseTopic: "answers", CorrelationData: []byte("correlation"),
		User: []v5.User{{Key: "key", Value: "value"}},
	}
	l.c.Send(m)
	in := next(t, h.received)
	topic, properties := in.Topic, *in.Properties
	in.Ack()
	l.s.flusher.Flush()
	l.c.Want("PUBACK 1")
	in.Release()
	l.reuse(h)
	var user []packet.UserProperty
	for name, value := range properties.User.All() {
		user = append(user, packet.UserProperty{Name: name, Value: value})
	}
	if topic != "a/topic" || properties.ContentType != "text/plain" || properties.ResponseTopic != "answers" ||
		properties.CorrelationData != "correlation" || !slices.Equal(user, []packet.UserProperty{{Name: "key", Value: "value"}}) {
		t.Errorf("topic %q, properties %+v", topic, properties)
	}
}

// endingConn ends the session when size bytes have arrived, before the session handles them. Its
// Read of no bytes returns at once, as the Read of TLS does.
type endingConn struct {
	net.Conn
	size int
	end  func()
}

func (c *endingConn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := c.Conn.Read(b)
	if c.size -= n; c.size == 0 {
		c.end()
	}
	return n, err
}

func TestSession_EndsWhenALargeMessageIsComplete_StopsReading(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		c, s := p.idle()
		data := c.Encode(script.Publish(0, 0, "t", largePayload(1)))
		s.conn.Conn.Conn = &endingConn{Conn: s.conn.Conn.Conn, size: len(data), end: func() { s.end(nil, Ending{}) }}
		s.Start(holder{make(chan *Inbound, 1), nil})
		c.SendBytes(data)
		select {
		case <-s.Done():
		case <-time.After(script.Timeout):
			t.Fatal("the session reads without end")
		}
	})
}
