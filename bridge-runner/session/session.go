// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package session is the client's side of one MQTT session, 3.1.1 or 5, over one
// connection to one server.
//
// It promises:
//   - A session that has ended never comes back: [Session.Done] is closed once, when
//     nothing more is handed on, and [Session.Err] says why. Reconnecting is for those
//     who choose the server.
//   - Messages are handed on in the order in which the server sent them, and none is
//     acknowledged before [Inbound.Ack]. An acknowledgement never reaches another
//     connection than one by which its message came.
//   - Where a server resumes the session that a [State] belongs to, what is in flight
//     goes on where it stopped, under the same packet identifiers and in the same
//     order ([MQTT-4.4.0-1]): QoS 2 is exactly once there. A message that the server
//     sends again while it is held is not handed on twice.
//   - What the server announces in CONNACK is kept to: receive maximum, maximum packet
//     size, maximum QoS, retain available, topic aliases, keep alive.
//   - A server that acknowledges nothing for the acknowledgement timeout, or passes a
//     message over, or does not answer a ping, ends the session. So does a packet whose
//     fields cannot be found; it is answered as section 4.13 of MQTT 5 says.
//   - Other packets that break the protocol are reported and do not end the session: the
//     server would send the same message on the next connection. A message that cannot be
//     forwarded is handed on with its faults, so that it is acknowledged in its turn.
//   - A message larger than the maximum packet size is never in memory.
//   - Nothing blocks but Open, Subscribe and Close. One goroutine reads; writes are
//     collected until it has nothing more to read, and go out together.
//
// It knows nothing of other servers, of rules or of the other side.
package session

import (
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// Handler uses a session. Its methods are called from the goroutine that reads, but
// Ready, which any goroutine may call. They must not block.
type Handler interface {
	// Received is called with every message, in order. One whose Faults are Undeliverable
	// is to be acknowledged in its turn, and not to be forwarded.
	Received(in *Inbound)
	// Redelivered is called for a message that the server sent again while it was held:
	// it is not handed on again.
	Redelivered(in *Inbound)
	// Acknowledged is called when the server has acknowledged a QoS 1 or 2 message:
	// PUBACK, or PUBCOMP. refused says why where it did so with a reason code of 0x80
	// or more (MQTT 5 section 4.13): it has not taken the message, and never will.
	Acknowledged(m *Outgoing, refused *Error)
	// Ready is called when there may be room for what Publish has refused with Full,
	// besides after each acknowledgement.
	Ready()
	// Idle is called when all that came is handled and before more is waited for.
	Idle()
}

// Session is an open session. Its methods may be called from any goroutine.
type Session struct {
	cfg     Config
	conn    *wire
	state   *State
	handler Handler
	server  packet.Connack // what the server announced
	resumed bool
	version packet.Version

	keepAlive time.Duration

	reading bool               // Start was called
	acks    chan packet.Suback // SUBACKs that Subscribe waits for
	now     time.Time          // when the packets at hand came; of the reader

	// Under state.mu: the state and all that belongs to the connection has one lock.
	buf        []byte // written and not flushed
	spare      []byte
	flushing   bool
	written    sync.Cond // flushing is over
	ended      bool
	parting    bool      // DISCONNECT is written: nothing may follow it ([MQTT-3.14.4-1])
	closing    bool      // by Close
	wanted     bool      // Publish has refused
	sent       time.Time // when something was last written
	progressed time.Time // when something was acknowledged, or in flight for the first time
	overtaken  time.Time // when the message that is in flight for longest was passed over
	aliases    map[string]uint16

	// unacknowledged is how many messages were sent on this connection and not
	// acknowledged: what counts for the server's receive maximum.
	unacknowledged int
	resends        int

	once sync.Once
	gone chan struct{} // closed when the session is over, and nothing is written any more
	done chan struct{} // closed when nothing is handed on any more
	err  error
}

// Resumed reports whether the server had kept the session (Session Present,
// section 3.2.2.2).
func (s *Session) Resumed() bool { return s.resumed }

// State is the session's half that outlives the connection.
func (s *Session) State() *State { return s.state }

// IdentifiesSubscriptions reports whether the server says by subscription identifiers
// which filters a message matched (MQTT 5 section 3.2.2.3.12).
func (s *Session) IdentifiesSubscriptions() bool {
	return s.version == packet.V5 && s.server.SubscriptionIDsAvailable
}

// Resends is how many messages that were in flight are sent again on this connection.
func (s *Session) Resends() int {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return s.resends
}

// Done is closed when the session has ended and nothing is handed on any more.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err says why the session has ended. It is nil before, and after [Session.Close].
func (s *Session) Err() error {
	select {
	case <-s.gone:
		return s.err
	default:
		return nil
	}
}

// Start begins to read. What was in flight in a session that the server has resumed
// is sent again first.
func (s *Session) Start(handler Handler) {
	s.handler = handler
	s.conn.socket.onDrained(s.roomAgain)
	s.state.mu.Lock()
	s.reading = true
	s.resend()
	s.state.mu.Unlock()
	s.Flush()
	go s.read()
	go s.watch()
}

// roomAgain tells the handler that what Publish has refused may go now.
func (s *Session) roomAgain() {
	s.state.mu.Lock()
	wanted := s.wanted
	s.wanted = false
	s.state.mu.Unlock()
	if wanted {
		s.handler.Ready()
		s.Flush()
	}
}

// Flush sends what is written, if no other goroutine is about to. It may call the
// handler's Ready.
func (s *Session) Flush() {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	for !s.flushing && len(s.buf) > 0 {
		data := s.buf
		s.buf, s.flushing = s.spare[:0], true
		s.state.mu.Unlock()
		_, err := s.conn.Write(data) // does not block: there is a socket below
		now := time.Now()
		s.state.mu.Lock()
		s.flushing, s.sent = false, now
		s.written.Broadcast()
		if s.spare = data; cap(data) > keepBuffer {
			s.spare = nil
		}
		switch {
		case err != nil:
			s.buf = nil
			go s.end(lostError(err)) // not here, in what may be a read: closing waits for reads
		case s.wanted && s.conn.socket.buffered() == 0:
			s.wanted = false
			s.state.mu.Unlock()
			s.handler.Ready()
			s.state.mu.Lock()
		}
	}
}

// end ends the session at once. Nothing is written after it has returned.
func (s *Session) end(err *Error) {
	s.once.Do(func() {
		s.err = err
		s.finish()
	})
}

func (s *Session) finish() {
	s.state.mu.Lock()
	s.ended = true
	s.buf = nil
	s.state.mu.Unlock()
	close(s.gone)
	_ = s.conn.Close() // nothing is to be saved
	if !s.isReading() {
		close(s.done)
	}
}

// refuse ends the session because of what the server sent. An MQTT 5 server is told
// why (section 4.13).
func (s *Session) refuse(code byte, err *Error) {
	if s.version == packet.V5 {
		s.part(code, false)
	}
	s.end(err)
}

// part writes a DISCONNECT, behind which nothing is written, and sends it with all that
// was written before.
func (s *Session) part(code byte, closing bool) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if s.writable() {
		s.buf = packet.AppendDisconnect(s.buf, s.version, packet.Disconnect{Code: code})
	}
	s.parting, s.closing = true, s.closing || closing
	for s.flushing || len(s.buf) > 0 {
		if s.flushing { // by another goroutine
			s.written.Wait()
			continue
		}
		s.state.mu.Unlock()
		s.Flush()
		s.state.mu.Lock()
	}
}

// writable reports whether anything may be written. The lock is held.
func (s *Session) writable() bool { return !s.ended && !s.parting }

// write appends to what is to be sent, where the session has not ended.
func (s *Session) write(appendTo func([]byte) []byte) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if s.writable() {
		s.buf = appendTo(s.buf)
	}
}

// closeTimeout bounds closing: the writing of what is left, and the wait for the
// server to have read it.
const closeTimeout = 1500 * time.Millisecond

// Close ends the session with a DISCONNECT, after what has been written, in a way
// that lets the server read all of it: were the socket closed with data from the
// server unread, the system would reset the connection, and the server could lose
// the acknowledgements that it has not read yet. It takes as long as the server
// needs, 1.5 seconds at most.
func (s *Session) Close() {
	s.part(0, true)
	hard := time.AfterFunc(closeTimeout, func() { _ = s.conn.Close() }) // the session's own error does not count any more
	defer hard.Stop()
	if s.conn.CloseWrite() == nil {
		if s.isReading() {
			<-s.done // the server has closed, too
		} else {
			s.conn.discard()
		}
	}
	s.once.Do(s.finish)
	<-s.done
}

func (s *Session) isReading() bool {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return s.reading
}
