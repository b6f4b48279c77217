// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// Message is an application message to publish.
type Message struct {
	Topic      string
	Payload    string
	QoS        byte
	Retain     bool
	Properties *packet.Properties
}

// Outgoing is a message to a server. It must not be changed while a session or a [State]
// uses it.
type Outgoing struct {
	Message
	// ReceivedAt is when the message arrived. Its expiry interval starts then.
	ReceivedAt time.Time
	// Owner belongs to the caller. The session does not use it.
	Owner any

	// The State's lock guards the fields below.

	// id is the packet identifier. It is 0 while the message is not in flight.
	id uint16
	// qos is the QoS at which the message is in flight. It and stage are valid while it is in
	// flight.
	qos   byte
	stage stage
	// session is the session on whose connection the message was written. It is nil if the
	// message was not written on the current connection.
	session *Session
	// previous and next link the unacknowledged messages of session, in the order in which they
	// were written.
	previous, next *Outgoing
}

// Result is the outcome of publishing a message.
type Result int

// The results of [Session.Publish].
const (
	// Sent: the message is in flight. The handler's Acknowledged is called later.
	Sent Result = iota
	// Written: the message is written at QoS 0.
	Written
	// Full: the window is full, or too much data is written and not accepted by the system,
	// or the server has not yet released stale QoS 2 identifiers. Publish the message again
	// when the handler's Ready is called.
	Full
	// TooLarge: the server does not accept packets of this size ([MQTT-3.2.2-15]).
	TooLarge
	// Expired: its message expiry interval has passed (MQTT 5 section 3.3.2.3.3).
	Expired
	// Ended: the session has ended or is being closed.
	Ended
)

const (
	// maxUnsent is the number of bytes that may be written and not accepted by the system.
	maxUnsent = 128 << 10
	// maxSpareBuffer is the size of the largest empty buffer that is kept for reuse, in bytes.
	maxSpareBuffer = 256 << 10
)

// Publish writes a message. [Flusher.Flush] sends it. Publish does not block. If the server
// has a lower maximum QoS, or does not support retained messages, the message is sent
// accordingly ([MQTT-3.2.2-11], [MQTT-3.2.2-14]).
//
// A message in flight in a session that the server has resumed continues under its packet
// identifier: as PUBLISH with DUP, or as PUBREL ([MQTT-4.4.0-1]). To keep the order
// ([MQTT-4.6.0-1]), publish these messages first, and in their original order.
func (s *Session) Publish(m *Outgoing, now time.Time) Result {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	out := &s.state.out
	if !s.writableLocked() {
		return Ended
	}
	if m.id != 0 && out.get(m.id) == m {
		if m.stage == stageReleased || s.stillAcceptedLocked(m, now) {
			return s.resumeDeliveryLocked(m, now)
		}
		out.forget(m) // the server has other limits now: m is a new message to it
	}
	qos := min(m.QoS, s.server.MaximumQoS)
	if out.support == qos2Unusable {
		qos = min(qos, 1)
	}
	if s.fullLocked(qos, now) || qos > 0 && s.quotaUsedUpLocked(now) {
		return Full
	}
	p, expired := s.makePublish(m, now)
	if expired {
		return Expired
	}
	id := uint16(0)
	if qos > 0 {
		if id = s.nextIDLocked(qos, now); id == 0 {
			s.publishBlocked = true
			return Full
		}
	}
	p.QoS = qos
	s.aliasLocked(&p)
	if !s.fits(&p) {
		return TooLarge
	}
	if qos == 0 {
		s.writePublishLocked(&p)
		return Written
	}
	m.qos = qos
	out.add(m, id)
	s.trackOutgoingLocked(m, now)
	if qos == 2 {
		s.offerBlocksWhenQuietLocked()
	}
	p.ID = m.id
	s.writePublishLocked(&p)
	return Sent
}

// fullLocked reports whether no more may be written at this QoS at present. If so, the
// handler's Ready is called when that has changed.
func (s *Session) fullLocked(qos byte, now time.Time) bool {
	window := qos > 0 && s.unackedOutgoing >= s.inflightLimit
	if window {
		s.flusher.noteWindowUsedUp(now)
	}
	written := len(s.unflushed) >= maxUnsent || s.conn.Buffered() >= maxUnsent
	s.publishBlocked, s.writeBlocked = s.publishBlocked || window, s.writeBlocked || written
	return window || written
}

// quotaUsedUpLocked reports whether the server of MQTT 3.1.1 may have no room for another message: as many
// QoS 2 messages as it may hold are in flight, which includes messages of earlier connections. Mosquitto
// would drop the message and acknowledge it, also a message of QoS 1. If the server
// acknowledges one of them, the handler's Ready is called. If it can acknowledge none, because none was sent
// on this connection, the caller needs another message first, and that message must not wait.
func (s *Session) quotaUsedUpLocked(now time.Time) bool {
	if s.state.out.qos2InFlight < s.qos2Limit || s.unackedOutgoing == 0 {
		return false
	}
	s.flusher.noteWindowUsedUp(now)
	s.publishBlocked = true
	return true
}

// nextIDLocked returns an identifier for a new message, or 0 if there is none at present.
// Before a QoS 2 message it makes the server release the stale QoS 2 identifiers: the
// server may hold messages of a process that has ended, or from before a switch to another
// server. Otherwise the server would treat the next message under such an identifier as the
// message that it holds, and drop it (section 4.3.3). The message need not wait for identifiers
// outside the blocks in which the earlier process had messages.
func (s *Session) nextIDLocked(qos byte, now time.Time) uint16 {
	out := &s.state.out
	switch {
	case out.stale.isEmpty() || qos < 2 && !s.qos1WaitsLocked():
		return out.nextID(qos)
	case qos < 2:
		s.releaseStaleQoS2Locked(now)
		return 0
	case out.support == qos2Doubtful && out.qos2InFlight == 0 && !s.pubrelsSent:
		return out.trialID()
	case out.support == qos2Assumed:
		out.blocks.used = true // its identifier is not offered as free while it waits
		s.releaseStaleQoS2Locked(now)
		s.releaseMoreLocked(now)
		return out.nextID(qos)
	}
	return 0
}

// qos1WaitsLocked reports whether a QoS 1 message must wait for the release of stale QoS 2 identifiers, like a
// QoS 2 message. If a Mosquitto holds as many QoS 2 messages as it may, it drops the next message of the
// connection. In MQTT 3.1.1 it also acknowledges this message.
//
// Servers without QoS 2 may not answer a PUBREL, or end the session at it. So the message does not wait if the
// server has shown that it does not support QoS 2, or if the rules publish at QoS 1 only and no message at QoS 2
// is known. In the latter case an earlier process may have had other rules: then the server may drop a message.
func (s *Session) qos1WaitsLocked() bool {
	out := &s.state.out
	switch {
	case !out.stale.blocksQoS2() || out.support != qos2Assumed || s.server.MaximumQoS < 2:
		return false
	case out.grantedBelowQoS2 && !out.trialPassed:
		return false
	}
	return s.cfg.PublishQoS == 2 || !out.stale.all || out.stale.suspected != allBlocks
}

// releaseStaleQoS2Locked writes the PUBRELs for which messages wait, and that were not written on this
// connection.
func (s *Session) releaseStaleQoS2Locked(now time.Time) {
	out := &s.state.out
	if !out.releaseDue { // each message that waits calls this function
		return
	}
	out.releaseDue = false
	s.writePubrelsLocked(out.stale.release(s), now)
}

// releaseMoreLocked writes some of the PUBRELs of identifiers that are released later, if the server has answered all
// earlier ones: at once if the next messages may need their identifiers, otherwise in the background.
func (s *Session) releaseMoreLocked(now time.Time) {
	out := &s.state.out
	if out.stale.later == nil || out.stale.blocksQoS2() || out.stale.unanswered > 0 {
		return
	}
	switch free := out.stale.freeLowIDs(out.lastLowID); {
	case free == 0 && out.qos2InFlight == 0:
		s.writePubrelsLocked(out.stale.releaseLater(s, out.lastLowID, laterAtFirst), now)
	case free < 2*out.qos2InFlight:
		s.writePubrelsLocked(out.stale.releaseLater(s, out.lastLowID, laterAtOnce), now)
	case !s.releaseScheduled:
		s.releaseScheduled = true
		time.AfterFunc(releaseInterval*time.Duration(releasing.Add(1)), s.releaseInBackground)
	}
}

// releaseInterval is the time between two writes of PUBRELs in the background, of all sessions of the process. After
// 1,000 bridges with QoS 2 in one direction have become active at the same time, there are four million such PUBRELs. With this interval, they
// need less than a tenth of a processor, together with the server, for about an hour.
const releaseInterval = 50 * time.Millisecond

// releasing is the number of sessions of the process that wait for releaseInBackground.
var releasing atomic.Int64

func (s *Session) releaseInBackground() {
	releasing.Add(-1)
	s.state.mu.Lock()
	s.releaseScheduled = false
	if s.writableLocked() {
		s.writePubrelsLocked(s.state.out.stale.releaseLater(s, s.state.out.lastLowID, laterAtOnce), time.Now())
	}
	s.state.mu.Unlock()
	s.flusher.Flush()
}

func (s *Session) writePubrelsLocked(ids []uint16, now time.Time) {
	if len(ids) == 0 {
		return
	}
	if s.unackedOutgoing == 0 {
		s.lastAckAt = now
	}
	for _, id := range ids {
		s.writeAckLocked(packet.PUBREL, id, 0)
	}
	s.pubrelsSent = true
	s.checkSoonLocked(now, 0)
}

// resumeDeliveryLocked writes a message that is in flight since an earlier connection.
func (s *Session) resumeDeliveryLocked(m *Outgoing, now time.Time) Result {
	if m.session == s {
		return Sent
	}
	if s.fullLocked(m.qos, now) {
		return Full
	}
	s.trackOutgoingLocked(m, now)
	if m.stage == stageReleased {
		s.writeAckLocked(packet.PUBREL, m.id, 0)
		return Sent
	}
	p, _ := s.makePublish(m, now) // if it has expired, the server drops it: the server may have it
	p.Dup, p.QoS, p.ID = true, m.qos, m.id
	s.aliasLocked(&p)
	s.writePublishLocked(&p)
	return Sent
}

// fits reports whether the server accepts a packet of this size.
func (s *Session) fits(p *packet.Publish) bool {
	largest := uint32(packet.MaxSize)
	if s.server.MaximumPacketSize > 0 {
		largest = min(largest, s.server.MaximumPacketSize) // may not fit into an int of a 32-bit machine
	}
	return packet.SizePublish(s.version, p) <= int(largest)
}

// makePublish makes the PUBLISH of a message. It reports whether the message has expired.
func (s *Session) makePublish(m *Outgoing, now time.Time) (p packet.Publish, expired bool) {
	p = packet.Publish{
		Topic:   m.Topic,
		Payload: m.Payload,
		Retain:  m.Retain && s.server.RetainAvailable,
	}
	if m.Properties == nil {
		return p, false
	}
	left := int64(1)
	if m.Properties.Expires {
		left = int64(m.Properties.Expiry) - int64(now.Sub(m.ReceivedAt)/time.Second)
	}
	if s.version != packet.V5 {
		return p, left <= 0 // applies in 3.1.1, too: the server does not know the expiry, so no other program drops the message
	}
	p.Properties = m.Properties
	if m.Properties.Expires {
		properties := *m.Properties
		properties.Expiry = uint32(max(left, 0))
		p.Properties = &properties
	}
	return p, left <= 0
}

// stillAcceptedLocked reports whether the server still accepts a message as it was sent
// before. The server's configuration may have changed.
func (s *Session) stillAcceptedLocked(m *Outgoing, now time.Time) bool {
	p, _ := s.makePublish(m, now)
	p.QoS = m.qos
	return m.qos <= s.server.MaximumQoS && s.fits(&p)
}

// writePublishLocked writes a PUBLISH.
func (s *Session) writePublishLocked(p *packet.Publish) {
	s.unflushed = packet.AppendPublish(s.unflushed, s.version, p)
	s.registerLocked()
}

// writeAckLocked writes an acknowledgement, unless the session has ended.
func (s *Session) writeAckLocked(t packet.Type, id uint16, code byte) {
	if s.writableLocked() {
		s.unflushed = packet.AppendAck(s.unflushed, s.version, packet.Ack{Type: t, ID: id, Code: code})
		s.registerLocked()
	}
}

// writeLocked appends another packet to the bytes to send, unless the session has ended.
func (s *Session) writeLocked(appendTo func([]byte) []byte) {
	if s.writableLocked() {
		s.unflushed = appendTo(s.unflushed)
		s.registerLocked()
	}
}

// write does the same as writeLocked, without the lock held on entry.
func (s *Session) write(appendTo func([]byte) []byte) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.writeLocked(appendTo)
}

// writableLocked reports whether packets may be written.
func (s *Session) writableLocked() bool { return !s.closed && !s.disconnecting }

// Flusher sends the packets that were written to a group of sessions. A bridge has one for the
// sessions of both sides. A goroutine that has written to any of them calls Flush at the end of
// its unit of work, so that the packets of the whole unit are sent together.
//
// A session registers when it has bytes to send, and is removed before they are sent. The zero
// value is ready for use.
type Flusher struct {
	mu sync.Mutex
	// sessions are the sessions that may have bytes to send, each at most once, in the order in
	// which they registered.
	sessions []*Session
	// windowUsedUpAt is when a window was last used up, as a time since processStart. See
	// delay.go.
	windowUsedUpAt atomic.Int64
}

// Flush sends the packets that were written to the sessions and not sent. It does not block,
// and takes no lock while it writes to a connection. It may call the Ready of handlers, and
// sends the packets that they write. Another goroutine may be sending the packets of a session:
// then that goroutine also sends the packets that were written meanwhile.
func (f *Flusher) Flush() {
	for s := f.next(); s != nil; s = f.next() {
		s.send()
	}
}

// add registers a session. The caller holds the session's State.mu.
func (f *Flusher) add(s *Session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions = append(f.sessions, s)
}

// next removes a session and returns it. It returns nil if none is registered.
func (f *Flusher) next() *Session {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.sessions) == 0 {
		return nil
	}
	s := f.sessions[0]
	f.sessions = slices.Delete(f.sessions, 0, 1)
	return s
}

// registerLocked makes the next Flush send the written bytes.
func (s *Session) registerLocked() {
	if !s.registered {
		s.registered = true
		s.flusher.add(s)
	}
}

// send sends the written bytes, unless another goroutine is sending them. Any goroutine may
// call it. It may call the handler's Ready.
func (s *Session) send() {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.registered = false // bytes that are written from now on register the session again
	for !s.sending && len(s.unflushed) > 0 {
		if s.cfg.Gate.blocks() {
			s.unflushed = nil
			go s.end(errNotPermitted(), Ending{}) // the caller may hold locks of the handler
			return
		}
		data := s.unflushed
		s.unflushed, s.sending = s.spareBuffer[:0], true
		s.largestSent = max(s.largestSent, len(data))
		s.state.mu.Unlock()
		_, err := s.conn.Write(data) // does not block
		now := time.Now()
		s.state.mu.Lock()
		s.sending = false
		s.noteSentLocked(now)
		s.sendDone.Broadcast()
		if s.spareBuffer = data; cap(data) > maxSpareBuffer {
			s.spareBuffer = nil
		}
		switch {
		case err != nil:
			s.unflushed = nil
			go s.connectionFailed(err) // it closes the connection, and the caller may be the reader of another session
		case s.writeBlocked && s.writableLocked() && s.conn.Buffered() == 0:
			s.publishBlocked, s.writeBlocked = false, false
			s.state.mu.Unlock()
			s.handler.Ready()
			s.state.mu.Lock()
		}
	}
}
