// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// serverRotation runs the servers of the destination. They take turns as the servers of a
// bridge do: when one has ended the session, the next one is connected.
type serverRotation struct {
	w     *world
	sides []*side
	// onPublish handles a message, and reports whether it has. Otherwise the message is
	// accepted.
	onPublish func(c *script.Conn, p script.Packet) bool
	// onPing handles a PINGREQ, and reports whether it has. Otherwise, or if it is nil, the
	// PINGREQ is answered.
	onPing func(c *script.Conn) bool
	// onPubrel handles the PUBREL of a message that is held, and reports whether it has.
	// Otherwise, or if it is nil, the PUBREL is answered.
	onPubrel func(c *script.Conn, text string) bool
	// keepSessions says that the servers keep their sessions.
	keepSessions bool

	mu sync.Mutex
	// accepted holds the messages that were accepted, once each.
	accepted []string
	// published holds the messages of all PUBLISH packets, in order.
	published []string
	// sessions is the number of sessions that have started.
	sessions int
	stopping bool
	conn     *script.Conn
	done     chan struct{}
	// held holds, for each server, the QoS 2 messages that are not released.
	held []map[uint16]string
}

// runServers runs the servers until stop is called. A server accepts the messages that
// onPublish does not handle.
func (w *world) runServers(onPublish func(c *script.Conn, p script.Packet) bool, change func(*serverRotation)) *serverRotation {
	x := &serverRotation{w: w, sides: []*side{w.destination}, onPublish: onPublish, done: make(chan struct{})}
	if change != nil {
		change(x)
	}
	for range x.sides {
		x.held = append(x.held, map[uint16]string{})
	}
	go x.run()
	return x
}

func (x *serverRotation) stop() {
	x.mu.Lock()
	x.stopping = true
	if x.conn != nil {
		_ = x.conn.Close()
	}
	x.mu.Unlock()
	<-x.done
}

func (x *serverRotation) run() {
	defer close(x.done)
	for turn := 0; ; turn++ {
		i := turn % len(x.sides)
		s := x.sides[i]
		resumed := x.keepSessions && turn >= len(x.sides)
		s.connect(resumed, nil)
		x.mu.Lock()
		x.conn = s.Conn
		x.sessions++
		if !resumed {
			clear(x.held[i])
		}
		stopping := x.stopping
		x.mu.Unlock()
		if !stopping {
			x.w.pipe.Up(s.s)
			x.w.flush() // as a bridge does: Up may give up a message, which acknowledges it
			for x.step(i, s) {
			}
			x.w.pipe.Down(s.s)
			x.w.flush()
		}
		x.mu.Lock()
		stopping = x.stopping
		x.mu.Unlock()
		if stopping {
			return
		}
	}
}

// step handles a packet. It reports whether the session continues.
func (x *serverRotation) step(i int, s *side) bool {
	p, err := s.TryNext()
	if err != nil {
		_ = s.Close()
		<-s.s.Done()
		return false
	}
	switch p.Type {
	case v5.PINGREQ:
		if x.onPing == nil || !x.onPing(s.Conn) {
			reply(s.Conn, script.Packet{Type: v5.PINGRESP})
		}
	case v5.PUBREL:
		x.mu.Lock()
		text, held := x.held[i][p.ID]
		x.mu.Unlock()
		if held && x.onPubrel != nil && x.onPubrel(s.Conn, text) {
			return true
		}
		x.mu.Lock()
		delete(x.held[i], p.ID)
		x.mu.Unlock()
		reply(s.Conn, script.Ack(v5.PUBCOMP, p.ID, 0))
	case v5.PUBLISH:
		x.mu.Lock()
		x.published = append(x.published, p.Topic+"="+p.Payload)
		onPublish := x.onPublish
		x.mu.Unlock()
		if !onPublish(s.Conn, p) {
			x.accept(i, s.Conn, p)
		}
	}
	return true
}

func (x *serverRotation) accept(i int, c *script.Conn, p script.Packet) {
	text := p.Topic + "=" + p.Payload
	x.mu.Lock()
	defer x.mu.Unlock()
	if held := x.held[i][p.ID]; p.QoS == 2 && held != "" && held != text {
		x.w.t.Errorf("%s arrives under the identifier of %s, which is held", text, held)
	}
	if !slices.Contains(x.accepted, text) {
		x.accepted = append(x.accepted, text)
	}
	switch p.QoS {
	case 1:
		reply(c, script.Ack(v5.PUBACK, p.ID, 0))
	case 2:
		x.held[i][p.ID] = text
		reply(c, script.Ack(v5.PUBREC, p.ID, 0))
	}
}

// waitAccepted waits until these messages were accepted, in this order.
func (x *serverRotation) waitAccepted(want ...string) {
	x.w.t.Helper()
	eventually(x.w.t, func() error {
		x.mu.Lock()
		defer x.mu.Unlock()
		if len(x.accepted) < len(want) {
			return fmt.Errorf("%d of %d messages arrived in %d sessions: %q", len(x.accepted), len(want), x.sessions, x.accepted)
		}
		return nil
	})
	x.mu.Lock()
	defer x.mu.Unlock()
	if !slices.Equal(x.accepted, want) {
		x.w.t.Errorf("arrived: %q, want %q", x.accepted, want)
	}
}

// sessionCount returns the number of sessions that have started.
func (x *serverRotation) sessionCount() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sessions
}

// wantSessions fails if more sessions have ended.
func (x *serverRotation) wantSessions(limit int) {
	x.w.t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	if ended := x.sessions - 1; ended > limit {
		x.w.t.Errorf("%d sessions have ended, at most %d should", ended, limit)
	}
}

// reply sends packets on a connection that may have ended.
func reply(c *script.Conn, packets ...script.Packet) {
	_, _ = c.Write([]byte(c.Encode(packets...)))
}

// end closes a connection, after a DISCONNECT with this code if it is not 0. It first
// reads the packets that the client has sent meanwhile, so that the client's system
// delivers the DISCONNECT.
func end(c *script.Conn, code byte) {
	if code > 0 {
		reply(c, script.Packet{Type: v5.DISCONNECT, Code: code})
		_ = c.CloseWrite()
		for {
			if _, err := c.TryNext(); err != nil {
				break
			}
		}
	}
	_ = c.Close()
}

// ending returns a handler that ends the connection at messages to this topic.
func ending(topic string, code byte) func(*script.Conn, script.Packet) bool {
	return func(c *script.Conn, p script.Packet) bool {
		if p.Topic != topic {
			return false
		}
		end(c, code)
		return true
	}
}

// send makes the source send n messages. The message with the index poison has the topic
// poison. send returns the messages that have to arrive.
func (w *world) send(n, poison int, qos byte) (arrive []string) {
	w.t.Helper()
	for i := range n {
		topic := "t"
		if i == poison {
			topic = "poison"
		} else {
			arrive = append(arrive, fmt.Sprintf("t=%d", i))
		}
		w.source.Send(script.Publish(uint16(i+1), qos, topic, fmt.Sprint(i)))
	}
	return arrive
}

// wantAcknowledged reads the acknowledgements of the source's messages first to last.
func (w *world) wantAcknowledged(first, last int, qos byte) {
	w.t.Helper()
	name := map[byte]string{1: "PUBACK", 2: "PUBREC"}[qos]
	for id := first; id <= last; id++ {
		w.source.Want(fmt.Sprintf("%s %d", name, id))
	}
}

// wantGivenUp waits until these messages were given up.
func (w *world) wantGivenUp(fate Fate, topics ...string) {
	w.t.Helper()
	eventually(w.t, func() error {
		w.meter.mu.Lock()
		defer w.meter.mu.Unlock()
		if len(w.meter.givenUp) < len(topics) {
			return errors.New("no message is given up")
		}
		return nil
	})
	w.meter.mu.Lock()
	defer w.meter.mu.Unlock()
	var got []string
	for _, m := range w.meter.givenUp {
		got = append(got, m.Topic)
		if m.Fate != fate || m.Err == nil || diagnosis.Of(m.Err).Message == "" {
			w.t.Errorf("given up: %+v", m)
		}
	}
	if !slices.Equal(got, topics) {
		w.t.Errorf("given up: %q, want %q", got, topics)
	}
}

// wantUnblocked fails unless a blocked direction continued n times.
func (w *world) wantUnblocked(n int) {
	w.t.Helper()
	w.meter.mu.Lock()
	defer w.meter.mu.Unlock()
	if w.meter.unblocked != n {
		w.t.Errorf("unblocked %d times, want %d", w.meter.unblocked, n)
	}
}

// wantDropped fails unless n messages were dropped for this cause, and none for others.
func (w *world) wantDropped(cause string, n int) {
	w.t.Helper()
	w.meter.mu.Lock()
	defer w.meter.mu.Unlock()
	if w.meter.dropped[cause] != n || n == 0 && len(w.meter.dropped) > 0 || n > 0 && len(w.meter.dropped) > 1 {
		w.t.Errorf("dropped: %v, want %d %s", w.meter.dropped, n, cause)
	}
}
