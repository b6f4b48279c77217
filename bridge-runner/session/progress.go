// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"sync/atomic"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// progress is when the server last sent something, as times since the socket was made.
// The reader writes it, Subscribe reads it.
//
// A PINGRESP says that the server lives. It does not say that it works on the
// subscriptions, so it does not count.
type progress struct {
	read   atomic.Int64 // when bytes of MQTT last came
	useful atomic.Int64 // the same, without bytes that were only PINGRESPs

	pong, other bool // the types of the packets that became whole with the bytes at hand
}

func (p *progress) came(t packet.Type) {
	if t == packet.PINGRESP {
		p.pong = true
	} else {
		p.other = true
	}
}

// noteProgress notes that bytes came, after all packets that are whole were handled.
func (s *Session) noteProgress() {
	p := &s.progress
	at := int64(s.now.Sub(s.conn.socket.start))
	p.read.Store(at)
	if p.other || !p.pong || s.conn.from < s.conn.to { // the rest is a part of a packet
		p.useful.Store(at)
	}
	p.pong, p.other = false, false
}

// lastProgress is when the server last sent something besides answers to pings, or took
// bytes that had to wait for it.
func (s *Session) lastProgress() time.Time {
	socket := s.conn.socket
	last := socket.start.Add(time.Duration(s.progress.useful.Load()))
	// A TLS record of 16 KB that comes slowly is handed on when it is whole. A
	// WebSocket's frames are handed on in parts, and its pings are not progress.
	if heard := socket.heard(); !s.cfg.Transport.WebSocket && heard.Sub(socket.start) > time.Duration(s.progress.read.Load()) {
		last = latest(last, heard)
	}
	return latest(last, socket.lastStrained())
}
