// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// receiveTimes records when bytes arrived, as times since wire.start. The reader
// writes it; SetSubscriptions reads last and useful.
//
// A PINGRESP shows that the server is alive. It does not show that the server works on the
// subscriptions, so it does not count as useful.
type receiveTimes struct {
	last   atomic.Int64 // when bytes of MQTT last arrived
	useful atomic.Int64 // when bytes other than whole PINGRESPs last arrived

	// pong and other are whether the latest bytes completed a PINGRESP, or another packet.
	pong, other bool
}

func (r *receiveTimes) notePacket(t packet.Type) {
	if t == packet.PINGRESP {
		r.pong = true
	} else {
		r.other = true
	}
}

// noteReceived records that bytes arrived, after all complete packets were handled.
func (s *Session) noteReceived() {
	r := &s.receiveTimes
	at := int64(s.readAt.Sub(s.conn.start))
	r.last.Store(at)
	if r.other || !r.pong || s.conn.hasPart() { // the remaining bytes are a part of a packet
		r.useful.Store(at)
	}
	r.pong, r.other = false, false
}

// lastUseful returns when the server last sent bytes other than PINGRESPs.
func (s *Session) lastUseful() time.Time {
	last := s.conn.start.Add(time.Duration(s.receiveTimes.useful.Load()))
	// A TLS record of 16 KB that arrives slowly is passed on when it is complete, so the
	// times of the socket count, too. Not for WebSocket: it passes on parts of frames, and
	// its own pings must not count.
	if received := s.conn.LastReceived(); !s.cfg.Transport.WebSocket && received.Sub(s.conn.start) > time.Duration(s.receiveTimes.last.Load()) {
		last = latest(last, received)
	}
	return last
}

// silentWait is a wait for answers. It expires when, for limit, the server has neither sent
// useful bytes nor accepted any bytes of the questions.
//
// A server may send messages without end, and never the answers. So if the answers are late, the
// wait sends a PINGREQ behind the questions. When the answer to it has arrived, the answers cannot
// be behind messages any more, and the wait expires after another limit.
type silentWait struct {
	s        *Session
	limit    time.Duration // 0: none
	mark     int64         // bytes written up to the end of the questions
	tcpAcked int64         // of these bytes, those that the peer's TCP has acknowledged
	since    time.Time     // when tcpAcked last grew
	ping     int64         // the number of the PINGREQ, 0 before it is sent
	pongAt   time.Time     // when expired noticed the answer to it
	ticker   *time.Ticker  // nil: there is no limit
}

// silenceChecks is the number of times within the limit that the wait checks for progress.
const silenceChecks = 64

// newSilentWait begins to wait for the answers to the packets that were just written. Another
// goroutine may still have to send them.
func newSilentWait(s *Session) *silentWait {
	s.state.mu.Lock()
	mark := s.conn.Written() + int64(len(s.unflushed))
	s.state.mu.Unlock()
	w := &silentWait{s: s, limit: s.cfg.ConnectTimeout, mark: mark, since: time.Now()}
	if w.limit > 0 {
		w.ticker = time.NewTicker(max(w.limit/silenceChecks, time.Millisecond))
	}
	return w
}

func (w *silentWait) stop() {
	if w.ticker != nil {
		w.ticker.Stop()
	}
}

// tick returns a channel that receives when expired should be called.
func (w *silentWait) tick() <-chan time.Time {
	if w.ticker == nil {
		return nil
	}
	return w.ticker.C
}

// expired reports whether the wait has expired. It sends the PINGREQ when that is due.
func (w *silentWait) expired() bool {
	now := time.Now()
	if tcpAcked := min(w.s.conn.Transit().TCPAcked, w.mark); tcpAcked > w.tcpAcked {
		w.tcpAcked, w.since = tcpAcked, now
	}
	switch {
	case now.Sub(latest(w.since, w.s.lastUseful())) >= w.limit:
		return true
	case now.Sub(w.since) < w.limit: // the questions may still be on their way
		return false
	case w.ping == 0:
		w.ping = w.s.sendPing()
	case w.pongAt.IsZero() && w.s.conn.pongs.Load() >= w.ping:
		w.pongAt = now
	}
	return !w.pongAt.IsZero() && now.Sub(w.pongAt) >= w.limit
}

// Unanswered returns for how long the server had left the bridge without an answer at a time
// after the end of the session: since its latest acknowledgement if messages are in flight,
// or since it last sent anything if it did not answer a PINGREQ. Otherwise it is 0. It is
// valid when Done is closed.
func (s *Session) Unanswered(at time.Time) time.Duration {
	var failure *Error
	pingTimedOut := errors.As(s.Err(), &failure) && failure.Kind == PingTimeout
	received := s.conn.LastReceived()
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	switch {
	case s.unackedOutgoing > 0:
		return max(0, at.Sub(s.lastAckAt))
	case pingTimedOut:
		return max(0, at.Sub(received))
	default:
		return 0
	}
}
