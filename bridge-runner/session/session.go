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
//   - If a server resumes the session that a [State] belongs to, a message in flight
//     that is published again goes on where it stopped, under the same packet identifier
//     ([MQTT-4.4.0-1]): QoS 2 is exactly once there. No QoS 2 message is sent under an
//     identifier under which the server may hold another one. A message that the server
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
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/watchdog"
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
	// PUBACK, or PUBCOMP. If it has not taken the message, refused says why. The message
	// is in flight no more.
	Acknowledged(m *Outgoing, refused *Refusal)
	// Ready is called when there may be room again, if Publish has returned Full.
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
	asked   bool           // CONNECT was written, or at least tried
	resumed bool
	version packet.Version

	keepAlive time.Duration

	alive    watchdog.Task      // the reader
	reading  bool               // Start was called
	acks     chan packet.Suback // SUBACKs that Subscribe waits for
	came     received           // when something came
	now      time.Time          // when the packets at hand came; of the reader
	refusing bool               // Inbound.Refuse was called: QoS 1 and 2 messages stay with the server; of the reader
	freed    bool               // something was acknowledged since wake was called; of the reader

	// Under state.mu: the state and all that belongs to the connection has one lock.
	buf        []byte // written and not flushed
	spare      []byte
	flushing   bool
	written    sync.Cond // flushing is over
	ended      bool
	parting    bool      // DISCONNECT is written: nothing may follow it ([MQTT-3.14.4-1])
	closing    bool      // by Close
	blocked    bool      // Publish has returned Full since wake was called: too much is in flight
	choked     bool      // likewise: too much is written and not sent
	sent       time.Time // when something was last written
	firstSent  time.Time // when something was first written after all was taken
	ackMark    ackMark
	progressed time.Time // when something was acknowledged, or in flight for the first time
	overtaken  time.Time // when the message that is in flight for longest was passed over
	aliases    map[string]uint16
	expected   map[uint16]bool // packet identifiers of the SUBACKs that Subscribe waits for
	aliased    int             // what aliases take, in bytes

	// Messages that were sent on this connection and not acknowledged, in the order in
	// which they were sent. No more than limit may be.
	first, last    *Outgoing
	unacknowledged int
	limit          int
	releasing      bool          // PUBRELs of stale identifiers were written
	releasedSome   bool          // and some of them were answered
	released       chan struct{} // receives when PUBRELs were written

	// QoS 1 and 2 messages that came on this connection, in order, from the first that is
	// not acknowledged on.
	unacked []*Inbound
	acked   int // of unacked: acknowledged

	pings    int    // PINGRESPs that Ping waits for
	answered func() // called when they have come

	once    sync.Once
	gone    chan struct{} // closed when the session is over, and nothing is written any more
	done    chan struct{} // closed when nothing is handed on any more
	err     error
	ending  Ending
	renewal chan struct{} // closed by Renew
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

// Ending is how a session ended.
type Ending struct {
	// ByServer: the server ended it, by DISCONNECT, by closing the connection, or by
	// breaking the protocol.
	ByServer bool
	// Code is the reason code of its DISCONNECT (MQTT 5 section 3.14.2.1), 0 if there was
	// none.
	Code byte
	// Silent: the server acknowledged nothing for the acknowledgement timeout. PassedOver:
	// it acknowledged later messages, and not the oldest. Answering: it answered pings.
	Silent, PassedOver, Answering bool
}

// Ending returns how the session ended. It is valid when Done is closed.
func (s *Session) Ending() Ending {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return s.ending
}

// Ping sends n PINGREQs (section 3.12), and has fn called by the goroutine that reads when
// as many PINGRESPs have come. It replaces an earlier call that waits. [Session.Flush]
// sends them.
func (s *Session) Ping(n int, fn func()) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if !s.writable() {
		return
	}
	s.pings, s.answered = n, fn
	for range n {
		s.buf = packet.AppendPing(s.buf)
	}
}

// pingresp handles a PINGRESP. It reports whether it is one that Ping waits for.
func (s *Session) pingresp() bool {
	s.state.mu.Lock()
	var fn func()
	expected := s.pings > 0
	if expected {
		s.pings--
		if s.pings == 0 {
			fn, s.answered = s.answered, nil
		}
	}
	s.state.mu.Unlock()
	if fn != nil {
		fn()
	}
	return expected
}

// Renew asks whoever chooses the server to connect to it anew: so that it sends again the
// messages that were refused by [Inbound.Refuse], or because it handles nothing any more
// after a PUBREL.
func (s *Session) Renew() {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.renew()
}

// renew is Renew; the lock is held.
func (s *Session) renew() {
	select {
	case <-s.renewal:
	default:
		close(s.renewal)
	}
}

// Renewal is closed when the session is to be renewed.
func (s *Session) Renewal() <-chan struct{} { return s.renewal }

// Start begins to read. Messages that were in flight in a session that the server has
// resumed go on when they are published again.
func (s *Session) Start(handler Handler) {
	s.handler = handler
	s.conn.socket.onDrained(s.writableAgain)
	s.state.mu.Lock()
	s.reading = true
	s.state.mu.Unlock()
	go s.read()
	go s.watch()
}

// writableAgain is called when the system has taken all that was written.
func (s *Session) writableAgain() {
	if s.wake() {
		s.Flush()
	}
}

// wake calls the handler's Ready if Publish has returned Full since the last time.
func (s *Session) wake() (woken bool) {
	s.state.mu.Lock()
	woken = s.blocked || s.choked
	s.blocked, s.choked = false, false
	s.state.mu.Unlock()
	if woken {
		s.handler.Ready()
	}
	return woken
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
		s.flushing = false
		s.noteSent(now)
		s.written.Broadcast()
		if s.spare = data; cap(data) > keepBuffer {
			s.spare = nil
		}
		switch {
		case err != nil:
			s.buf = nil
			go s.lostBy(err) // not here, in what may be a read: closing waits for reads
		case s.choked && s.conn.socket.buffered() == 0:
			s.blocked, s.choked = false, false
			s.state.mu.Unlock()
			s.handler.Ready()
			s.state.mu.Lock()
		}
	}
}

// end ends the session at once. Nothing is written after it has returned.
func (s *Session) end(err *Error, how Ending) {
	s.once.Do(func() {
		s.state.mu.Lock()
		s.err, s.ending = err, how
		if how.ByServer && s.releasing {
			s.state.out.endedAtRelease(s)
		}
		s.state.mu.Unlock()
		s.finish()
	})
}

func (s *Session) finish() {
	s.state.mu.Lock()
	s.ended, s.state.left = true, time.Now()
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
func (s *Session) refuse(code byte, err *Error, how Ending) {
	if s.version == packet.V5 {
		s.part(code, false)
	}
	s.end(err, how)
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
