// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package session implements the client side of one MQTT session, 3.1.1 or 5, over one
// connection to one server.
//
// It promises:
//   - A session ends once and never becomes usable again. [Session.Done] is closed when the
//     handler receives no more calls, and [Session.Err] returns the reason. Reconnecting is
//     left to the caller, which chooses the server.
//   - The handler receives messages in the order in which the server sent them. No message
//     is acknowledged before [Inbound.Ack]. An acknowledgement is written only to a
//     connection on which the server sent the message.
//   - If a server resumes the session that a [State] belongs to, publishing a message in
//     flight again continues its exchange under the same packet identifier
//     ([MQTT-4.4.0-1]): on that server QoS 2 is exactly once. No QoS 2 message is sent
//     under an identifier under which the server may hold another message. If the server
//     sends a message again that is still unacknowledged, the handler does not receive it
//     twice.
//   - SetSubscriptions changes the subscriptions of a session in use. The server sends no
//     retained messages for filters that are unchanged.
//   - The session respects the values that the server announces in CONNACK: receive
//     maximum, maximum packet size, maximum QoS, retain available, topic aliases, keep
//     alive.
//   - The session ends if the server acknowledges nothing for the acknowledgement timeout,
//     skips a message for that time, or does not answer a ping. It also ends at a packet
//     whose fields cannot be located, which is answered as section 4.13 of MQTT 5 requires.
//   - Other packets that break the protocol are reported and do not end the session,
//     because the server would send the same message on the next connection. The handler
//     receives a message that cannot be forwarded together with its faults, so that the
//     message is acknowledged in order.
//   - A message larger than the maximum packet size is never held in memory as a whole. The session ends if the
//     server sends packets that require answers, and reads no answers: they do not collect in memory.
//   - Only Open, Probe, EndSession, SetSubscriptions and Close block. One goroutine reads. Writes are
//     collected until it has nothing more to read, and are then sent together, by a [Flusher].
//
// The package does not know the other servers, the rules, the other side or Kubernetes. Package
// diagnosis explains its errors to users.
//
// Lock order: State.mu, then Flusher.mu or the locks of package transport. No code holds the
// locks of two States. The handler's methods, [Flusher.Flush] and the connection's Write are
// called with no lock held.
package session

import (
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/watchdog"
)

// Handler uses a session. The goroutine that reads calls its methods, except Ready, which
// any goroutine may call. The methods must not block. They write packets, to this session and
// to others, by Publish and Ack. Their caller sends the packets by [Flusher.Flush]:
//
//	reader                          socket's goroutine           timer, spool, connector
//	(one per session)               (one per session)            (of the bridge)
//
//	Conn.Read <────────────────┐    the system has accepted
//	   │ bytes                 │    all buffered data
//	   v                       │       │                            │
//	for each packet:           │       │                            │
//	  PUBLISH: Received        │       │                            │
//	    or Redelivered         │       │                            │
//	  PUBACK, PUBCOMP:         │       │                            │
//	    Acknowledged           │       v                            v
//	then: Ready (1, 2)         │    Ready (1)                    Publish, Ack, Ping
//	   │ no more can be read,  │       │                            │ the unit of
//	   │ or 64 KiB are handled │       │                            │ work ends
//	   v                       │       v                            v
//	Flusher.Flush ─────────────┘    Flusher.Flush                Flusher.Flush
//	   └───────────────────────────────┬────────────────────────────┘
//	                                   │ for each session with bytes to send
//	                                   v
//	                     Conn.Write, then Ready (1, 3), and again
//
//	(1) if Publish has returned Full since the last call of Ready
//	(2) if the server has acknowledged a message
//	(3) if the system has accepted all data
type Handler interface {
	// Received is called with every message, in order. A message whose Faults are
	// Undeliverable must be acknowledged in its turn and must not be forwarded.
	Received(in *Inbound)
	// Redelivered is called when the server sends a message again before it is
	// acknowledged. Received is not called for it.
	Redelivered(in *Inbound)
	// Acknowledged is called when the server has acknowledged a QoS 1 or 2 message by
	// PUBACK or PUBCOMP, or has refused it. refused is nil if the server has accepted the
	// message. The message is no longer in flight.
	Acknowledged(m *Outgoing, refused *Refusal)
	// Ready is called after Publish has returned Full, when there may be room again.
	Ready()
}

// Session is an open session. Its methods may be called from any goroutine.
type Session struct {
	cfg     Config
	conn    *wire
	state   *State
	handler Handler
	flusher *Flusher
	server  packet.Connack // the server's CONNACK
	// connectSent is set before CONNECT is written. The write may fail.
	connectSent bool
	// resumed is whether the server has resumed the session and the client accepts that.
	resumed bool
	version packet.Version

	// keepAlive is Config.KeepAlive, or the server's value if that is lower.
	keepAlive time.Duration

	// alive reports how long the reader has been handling packets.
	alive watchdog.Task
	// reading is set by Start. state.mu guards it.
	reading      bool
	receiveTimes receiveTimes

	// Only the reader uses these fields.

	// readAt is when the packets that the reader handles arrived.
	readAt time.Time
	// refusingInbound is set by Inbound.LeaveAtServer: from then on QoS 1 and 2 messages are left to
	// the server. It is written with state.mu held.
	refusingInbound bool
	// tooManyInbound is whether the server has more than maxUnackedInbound messages in flight. It is written
	// with state.mu held.
	tooManyInbound bool
	// ackedSinceWake is whether the server has acknowledged a message since the last call of
	// notifyReady.
	ackedSinceWake bool

	// state.mu guards the fields below: one lock protects the state and all fields of the
	// connection.

	// unflushed holds the bytes that were written and not passed to the connection.
	unflushed   []byte
	spareBuffer []byte // becomes unflushed when unflushed is sent
	// largestSent is the largest number of bytes that were passed to the connection at once.
	largestSent int
	// registered is set from registerLocked until send.
	registered bool
	sending    bool // a goroutine is in send, without the lock
	// sendDone signals that sending has become false.
	sendDone sync.Cond
	// closed is set when the session has ended.
	closed bool
	// disconnecting is set when DISCONNECT is in unflushed: nothing may follow it
	// ([MQTT-3.14.4-1]).
	disconnecting bool
	// closedByCaller is set by Close.
	closedByCaller bool
	// publishBlocked is set when Publish returns Full because the window is full or no packet
	// identifier is available. notifyReady clears it.
	publishBlocked bool
	// writeBlocked is set when Publish returns Full because maxUnsent bytes are written and
	// not sent. notifyReady clears it.
	writeBlocked bool
	// lastSentAt is when data was last flushed; before the first flush, when CONNACK arrived.
	lastSentAt time.Time
	// firstSentAt is when data was first flushed after the server's TCP had acknowledged all
	// earlier data. It is zero if no data was flushed since.
	firstSentAt time.Time
	ackMark     ackMark
	// lastAckAt is when the server last acknowledged a message in flight or a PUBREL of a stale
	// identifier, or when the first message or such PUBREL was written after all messages were
	// acknowledged.
	lastAckAt time.Time
	// skippedSince is when the server first acknowledged a later message instead of
	// firstUnacked. It is zero if the server has not.
	skippedSince time.Time
	aliases      map[string]uint16 // topic aliases of this connection; nil: the server allows none
	// aliasBytes is the approximate memory of aliases, in bytes. It is at most maxAliasBytes.
	aliasBytes int

	// requests are the SUBSCRIBE and UNSUBSCRIBE packets without an answer, by packet identifier.
	requests map[uint16]*request

	// firstUnacked and lastUnacked are the ends of the list of messages that were sent on this
	// connection and not acknowledged, in the order in which they were sent. Its length is
	// unackedOutgoing, at most inflightLimit.
	firstUnacked, lastUnacked *Outgoing
	unackedOutgoing           int
	inflightLimit             int
	// qos2Limit is the largest number of QoS 2 messages in flight, which includes messages of earlier
	// connections. It has no effect in MQTT 5, in which inflightLimit includes the server's limit.
	qos2Limit int
	// pubrelsSent is whether PUBRELs of stale identifiers were written on this connection, and
	// pubrelAnswered whether the server has answered any of them.
	pubrelsSent    bool
	pubrelAnswered bool
	// releaseScheduled is whether releaseInBackground will run.
	releaseScheduled bool
	// checks plans the checks of the watcher. flushedSinceCheck is whether data was flushed since
	// the latest check began.
	checks            schedule
	flushedSinceCheck bool

	// unackedInbound are the QoS 1 and 2 messages that arrived on this connection, in order,
	// from the first that is not acknowledged. The first ackedInbound entries are nil: they
	// are acknowledged.
	unackedInbound []*Inbound
	ackedInbound   int
	// arrivals is the number of QoS 1 and 2 messages and of PUBRELs that arrived on this connection, and
	// drainCheck the latest check of Drained.
	arrivals   uint64
	drainCheck drainCheck
	// mostInbound is the largest number of QoS 1 and 2 messages that the server has had in flight
	// on this connection. See delay.go.
	mostInbound int

	// pingsSent is the number of PINGREQs that sendPing has sent.
	pingsSent int64
	// awaitedPingresps is the number of PINGRESPs until onPingresps is called. See Ping.
	awaitedPingresps int
	onPingresps      func()

	endOnce sync.Once
	// closedCh is closed when the session has ended and nothing more is written.
	closedCh chan struct{}
	// done is closed when the handler receives no more calls.
	done chan struct{}
	// err and ending are valid when closedCh is closed.
	err    error
	ending Ending
	// renewRequested is closed by RequestReconnect.
	renewRequested chan struct{}
}

// Resumed reports whether the server has resumed the session (Session Present, section
// 3.2.2.2).
func (s *Session) Resumed() bool { return s.resumed }

// Server returns the name of the server.
func (s *Session) Server() string { return s.cfg.Server }

// State returns the part of the session that outlives the connection.
func (s *Session) State() *State { return s.state }

// IdentifiesSubscriptions reports whether the server sends subscription identifiers, which
// show the filters that a message matched (MQTT 5 section 3.2.2.3.12).
func (s *Session) IdentifiesSubscriptions() bool {
	return s.version == packet.V5 && s.server.SubscriptionIDsAvailable
}

// Done is closed when the session has ended and the handler receives no more calls.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err returns why the session has ended. It is nil before the end, and after
// [Session.Close].
func (s *Session) Err() error {
	select {
	case <-s.closedCh:
		return s.err
	default:
		return nil
	}
}

// Ending describes how a session ended.
type Ending struct {
	// ByServer is whether the server ended the session: it sent DISCONNECT, closed the
	// connection, or broke the protocol.
	ByServer bool
	// Code is the reason code of the server's DISCONNECT (MQTT 5 section 3.14.2.1). It is 0
	// if there was none.
	Code byte
	// AckTimedOut is whether the server exceeded the acknowledgement timeout. Skipped is
	// whether it acknowledged later messages and not the oldest message. Answering is
	// whether it answered pings meanwhile.
	AckTimedOut, Skipped, Answering bool
}

// Ending returns how the session ended. It is valid when Done is closed.
func (s *Session) Ending() Ending {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return s.ending
}

// Ping writes n PINGREQs (section 3.12). The goroutine that reads calls fn when n PINGRESPs
// have arrived. A call replaces an earlier call that still waits. [Flusher.Flush] sends the
// PINGREQs.
func (s *Session) Ping(n int, fn func()) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if !s.writableLocked() {
		return
	}
	s.awaitedPingresps, s.onPingresps = n, fn
	for range n {
		s.writeLocked(packet.AppendPing)
	}
}

// sendPing sends a PINGREQ (section 3.12), and returns its number. The server has answered it when
// wire.pongs is not lower.
func (s *Session) sendPing() (number int64) {
	s.state.mu.Lock()
	s.pingsSent++
	number = s.pingsSent
	s.writeLocked(packet.AppendPing)
	s.state.mu.Unlock()
	s.flusher.Flush()
	return number
}

// handlePingresp handles a PINGRESP. It reports whether Ping waits for it.
func (s *Session) handlePingresp() bool {
	s.state.mu.Lock()
	var fn func()
	expected := s.awaitedPingresps > 0
	if expected {
		s.awaitedPingresps--
		if s.awaitedPingresps == 0 {
			fn, s.onPingresps = s.onPingresps, nil
		}
	}
	s.state.mu.Unlock()
	if fn != nil {
		fn()
	}
	return expected
}

// RequestReconnect asks the caller that chooses the server to connect to the same server again. There
// are two reasons: the server then sends the messages again that [Inbound.LeaveAtServer] has
// refused; or the server stops handling packets after a PUBREL.
func (s *Session) RequestReconnect() {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.renewLocked()
}

func (s *Session) renewLocked() {
	select {
	case <-s.renewRequested:
	default:
		close(s.renewRequested)
	}
}

// ReconnectRequested returns a channel that is closed when the caller should reconnect. See
// [Session.RequestReconnect].
func (s *Session) ReconnectRequested() <-chan struct{} { return s.renewRequested }

// Start begins to read. Messages in flight in a resumed session are continued when the
// caller publishes them again.
func (s *Session) Start(handler Handler) {
	s.handler = handler
	s.conn.OnWritable(s.notifyWritable)
	s.state.mu.Lock()
	ended := s.closed // the gate may have ended the session
	if !ended {
		s.reading = true
		s.startWatchLocked()
	}
	s.state.mu.Unlock()
	if ended {
		return
	}
	s.conn.ownBodies = true
	go s.read()
}

// notifyWritable is called when the system has accepted all written bytes.
func (s *Session) notifyWritable() {
	if s.notifyReady() {
		s.flusher.Flush()
	}
}

// notifyReady calls the handler's Ready if Publish has returned Full since the last call.
func (s *Session) notifyReady() (called bool) {
	s.state.mu.Lock()
	called = s.publishBlocked || s.writeBlocked
	s.publishBlocked, s.writeBlocked = false, false
	s.state.mu.Unlock()
	if called {
		s.handler.Ready()
	}
	return called
}

// end ends the session at once. Nothing is written after it has returned.
func (s *Session) end(err error, how Ending) {
	s.endOnce.Do(func() {
		s.state.mu.Lock()
		s.err, s.ending = err, how
		if how.ByServer && s.pubrelsSent && how.Code != CodeSessionTakenOver {
			s.state.out.recordEndDuringRelease(s)
		}
		s.state.mu.Unlock()
		s.finish()
	})
}

func (s *Session) finish() {
	s.state.mu.Lock()
	s.closed, s.state.endedAt = true, time.Now()
	s.unflushed = nil
	if s.checks.timer != nil {
		s.checks.timer.Stop()
	}
	s.state.mu.Unlock()
	close(s.closedCh)
	s.cfg.Gate.leave(s)
	_ = s.conn.Close() // the session has ended: an error has no meaning
	if !s.isReading() {
		close(s.done)
	}
}

// endWithDisconnect ends the session. An MQTT 5 server receives a DISCONNECT with the
// reason code (section 4.13).
func (s *Session) endWithDisconnect(code byte, err error, how Ending) {
	if s.version == packet.V5 {
		s.sendDisconnect(code, false)
	}
	s.end(err, how)
}

// sendDisconnect writes a DISCONNECT, after which nothing is written, and sends it together
// with all earlier bytes.
func (s *Session) sendDisconnect(code byte, byCaller bool) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.writeLocked(func(b []byte) []byte {
		return packet.AppendDisconnect(b, s.version, packet.Disconnect{Code: code})
	})
	s.disconnecting, s.closedByCaller = true, s.closedByCaller || byCaller
	for s.sending || len(s.unflushed) > 0 {
		if s.sending { // by another goroutine
			s.sendDone.Wait()
			continue
		}
		s.state.mu.Unlock()
		s.send()
		s.state.mu.Lock()
	}
}

// closeTimeout is the longest time that Close takes: to send the remaining bytes, and to
// wait until the server has read them.
const closeTimeout = 1500 * time.Millisecond

// Close sends all written bytes and a DISCONNECT, and ends the session so that the server
// can read all of it. If the socket were closed while data from the server is unread, the
// system would reset the connection, and the server could lose acknowledgements that it has
// not read yet. Close takes until the server closes its side, at most 1.5 seconds.
func (s *Session) Close() {
	s.sendDisconnect(0, true)
	hard := time.AfterFunc(closeTimeout, func() { _ = s.conn.Close() }) // an error has no meaning after Close
	defer hard.Stop()
	if s.conn.CloseWrite() == nil {
		if s.isReading() {
			<-s.done // until the server has closed the connection, too
		} else {
			s.conn.discard()
		}
	}
	s.endOnce.Do(s.finish)
	<-s.done
}

func (s *Session) isReading() bool {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return s.reading
}
