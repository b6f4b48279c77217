// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"sync/atomic"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// received is when bytes came from the server, as times since the socket was made. The
// reader writes it, Subscribe reads it.
//
// A PINGRESP says that the server lives. It does not say that the server works on the
// subscriptions, so it does not count as useful.
type received struct {
	last   atomic.Int64 // when bytes of MQTT last came
	useful atomic.Int64 // the same, without bytes that were only PINGRESPs

	pong, other bool // the types of the packets that became whole with the bytes at hand
}

func (r *received) packet(t packet.Type) {
	if t == packet.PINGRESP {
		r.pong = true
	} else {
		r.other = true
	}
}

// noteReceived notes that bytes came, after all packets that are whole were handled.
func (s *Session) noteReceived() {
	r := &s.came
	at := int64(s.now.Sub(s.conn.socket.start))
	r.last.Store(at)
	if r.other || !r.pong || s.conn.from < s.conn.to { // the rest is a part of a packet
		r.useful.Store(at)
	}
	r.pong, r.other = false, false
}

// lastUseful is when the server last sent something besides answers to pings.
func (s *Session) lastUseful() time.Time {
	socket := s.conn.socket
	last := socket.start.Add(time.Duration(s.came.useful.Load()))
	// A TLS record of 16 KB that comes slowly is handed on when it is whole. A
	// WebSocket's frames are handed on in parts, and its pings do not count either.
	if heard := socket.heard(); !s.cfg.Transport.WebSocket && heard.Sub(socket.start) > time.Duration(s.came.last.Load()) {
		last = latest(last, heard)
	}
	return last
}

// silentWait is a wait for answers that lasts until the server neither sends anything nor
// takes any of the questions for a time.
type silentWait struct {
	s     *Session
	limit time.Duration // 0: none
	mark  int64         // bytes that were written up to the end of the questions
	taken int64         // of them, taken by the server's TCP
	since time.Time     // when it last took some
	ticks *time.Ticker  // nil: there is no limit
}

// silenceLooks is how many times within the limit the wait looks whether the server takes
// anything.
const silenceLooks = 64

// newSilentWait begins to wait for the answers to what was just written.
func newSilentWait(s *Session) *silentWait {
	w := &silentWait{s: s, limit: s.cfg.ConnectTimeout, mark: s.conn.socket.underWay().given, since: time.Now()}
	if w.limit > 0 {
		w.ticks = time.NewTicker(max(w.limit/silenceLooks, time.Millisecond))
	}
	return w
}

func (w *silentWait) stop() {
	if w.ticks != nil {
		w.ticks.Stop()
	}
}

// tick is when to look whether the silence is over the limit.
func (w *silentWait) tick() <-chan time.Time {
	if w.ticks == nil {
		return nil
	}
	return w.ticks.C
}

// over reports whether the server has been silent for the limit.
func (w *silentWait) over() bool {
	now := time.Now()
	if taken := min(w.s.conn.socket.underWay().taken, w.mark); taken > w.taken {
		w.taken, w.since = taken, now
	}
	return now.Sub(latest(w.since, w.s.lastUseful())) >= w.limit
}
