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

// clocked is a session without a reader, with a clock of its own: the test passes the packets to
// it. It counts how often the next read may be delayed.
type clocked struct {
	t       *testing.T
	c       *script.Conn
	s       *Session
	in      *acker
	nextID  uint16
	delayed int
}

// acker is a handler that acknowledges the oldest message when inFlight messages are not
// acknowledged.
type acker struct {
	inFlight int
	pending  []*Inbound
	acked    []*Inbound
}

func (a *acker) Received(in *Inbound) {
	a.pending = append(a.pending, in)
	for len(a.pending) >= a.inFlight {
		a.ackOldest()
	}
}

func (a *acker) ackOldest() {
	a.pending[0].Ack()
	a.pending, a.acked = a.pending[1:], append(a.acked, a.pending[0])
}

// releases returns the PUBRELs that follow the PUBRECs that were sent since the last call.
func (a *acker) releases() (packets []script.Packet) {
	for _, in := range a.acked {
		if in.QoS == 2 {
			packets = append(packets, script.Ack(v5.PUBREL, in.ID, 0))
		}
	}
	a.acked = nil
	return packets
}

func (*acker) Redelivered(*Inbound)             {}
func (*acker) Acknowledged(*Outgoing, *Refusal) {}
func (*acker) Ready()                           {}

func newClocked(t *testing.T, f *Flusher) *clocked {
	t.Helper()
	p := newPeer(t, packet.V311)
	p.cfg.Flusher, p.cfg.Window = f, 100
	c, s := p.idle()
	x := &clocked{t: t, c: c, s: s, in: &acker{inFlight: 1}}
	s.handler, s.readAt = x.in, processStart.Add(time.Hour)
	return x
}

// receive handles packets that arrive together, after a time without any.
func (x *clocked) receive(after time.Duration, packets ...script.Packet) {
	x.t.Helper()
	x.s.readAt = x.s.readAt.Add(after)
	received := x.c.Encode(packets...)
	x.s.conn.buf, x.s.conn.from, x.s.conn.to = []byte(received), 0, len(received)
	if err := x.s.handleAll(); err != nil {
		x.t.Fatal(err)
	}
	if x.s.idle() {
		x.delayed++
	}
}

// message returns the next message from the server.
func (x *clocked) message(qos byte) script.Packet {
	x.nextID = x.nextID%100 + 1
	return script.Publish(x.nextID, qos, "t", "x")
}

// stream handles messages that arrive at an interval for a time, with the PUBREL of each QoS 2
// message after half of the interval. It returns the part of the reads that may be delayed.
func (x *clocked) stream(qos byte, every, length time.Duration) float64 {
	x.t.Helper()
	reads := 0
	x.delayed = 0
	for passed := time.Duration(0); passed < length; passed += every {
		x.receive(every/2, x.message(qos))
		reads++
		x.s.readAt = x.s.readAt.Add(every - every/2)
		if releases := x.in.releases(); len(releases) > 0 {
			x.receive(0, releases...)
			reads++
		}
	}
	return float64(x.delayed) / float64(reads)
}

// burst makes the server have this number of messages in flight at once.
func (x *clocked) burst(qos byte, messages int) {
	x.t.Helper()
	var packets []script.Packet
	x.in.inFlight = messages + 1
	for range messages {
		packets = append(packets, x.message(qos))
	}
	x.receive(time.Millisecond, packets...)
	for range messages {
		x.in.ackOldest()
	}
	x.receive(time.Millisecond, x.in.releases()...)
	x.in.inFlight = 1
}

const (
	often  = 200 * time.Microsecond // between messages that are many
	rarely = 500 * time.Microsecond // between messages that are not
)

func TestMayDelay_MessagesOneByOne_OnlyIfNoWindowIsUsedUp(t *testing.T) {
	for name, tc := range map[string]struct {
		every time.Duration
		most  int // the server has had this number of messages in flight
		now   int // the server has this number of messages in flight now
		want  bool
	}{
		"many, window open":                {often, 10, 1, true},
		"many, most of the window used":    {often, 10, 9, true},
		"many, window used up":             {often, 10, 10, false},
		"many, more in flight than before": {often, 10, 11, false},
		"many, a window of 1":              {often, 1, 1, false},
		"few":                              {rarely, 10, 1, false},
	} {
		for qos := byte(1); qos <= 2; qos++ {
			t.Run(name, func(t *testing.T) {
				x := newClocked(t, &Flusher{})
				x.burst(qos, tc.most)
				if part := x.stream(qos, tc.every, windowPause/2); part > 0 {
					t.Errorf("%.2f of the reads may be delayed at once after the window was used up", part)
				}
				x.receive(2 * windowPause)
				x.in.inFlight = tc.now
				x.stream(qos, tc.every, 20*time.Millisecond) // until as many are in flight
				part := x.stream(qos, tc.every, 2*windowPause)
				if tc.want != (part > 0.9) || !tc.want && part > 0 {
					t.Errorf("QoS %d: %.2f of the reads may be delayed, want %t", qos, part, tc.want)
				}
			})
		}
	}
}

// forwardOne publishes a message, and handles its acknowledgement after a time.
func (x *clocked) forwardOne(qos byte, after time.Duration) {
	x.t.Helper()
	m := message(qos, "x")
	if got := x.s.Publish(m, x.s.readAt); got != Sent {
		x.t.Fatal(got)
	}
	id := m.id
	if qos == 1 {
		x.receive(after, script.Ack(v5.PUBACK, id, 0))
		return
	}
	x.receive(after/2, script.Ack(v5.PUBREC, id, 0))
	x.receive(after-after/2, script.Ack(v5.PUBCOMP, id, 0))
}

func TestMayDelay_AcknowledgementsOneByOne_OnlyIfNoWindowIsUsedUp(t *testing.T) {
	idle := func(*clocked, *clocked) {}
	for name, tc := range map[string]struct {
		every time.Duration
		// before is called before each message.
		before func(x, source *clocked)
		want   bool
	}{
		"many": {often, idle, true},
		"few":  {rarely, idle, false},
		"many, window of the bridge used up": {often, func(x, _ *clocked) {
			x.s.state.mu.Lock()
			defer x.s.state.mu.Unlock()
			x.s.inflightLimit = x.s.unackedOutgoing
			if !x.s.fullLocked(1, x.s.readAt) {
				x.t.Fatal("the window is not full")
			}
			x.s.inflightLimit++
		}, false},
		"many, window of the source used up": {often, func(x, source *clocked) {
			source.s.readAt = x.s.readAt
			source.receive(0, source.message(1))
		}, false},
	} {
		for qos := byte(1); qos <= 2; qos++ {
			t.Run(name, func(t *testing.T) {
				f := &Flusher{}
				x, source := newClocked(t, f), newClocked(t, f)
				const messages, warmUp = 500, 10
				for i := range messages {
					if i == warmUp {
						x.delayed = 0
					}
					tc.before(x, source)
					x.forwardOne(qos, tc.every)
				}
				reads := int(qos) * (messages - warmUp)
				if tc.want != (x.delayed > reads*9/10) || !tc.want && x.delayed > 0 {
					t.Errorf("QoS %d: %d of %d reads may be delayed, want %t", qos, x.delayed, reads, tc.want)
				}
			})
		}
	}
}
