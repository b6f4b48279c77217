// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// The connection may wait a little before it reads, so that one read returns more packets (see
// transport.Config.DelayReads). That must not make a program wait. A server that has messages of
// QoS 1 or 2 in flight waits for their acknowledgements only if its window is used up. MQTT has
// no field for the window of a server. So the session records the largest number of messages that
// the server has had in flight: the window is not smaller. While the server has as many in flight
// again, it may be waiting.

// awaited is the answer that the sender of received packets may be waiting for. A higher value is
// more urgent.
type awaited byte

const (
	// awaitsNothing: QoS 0 messages have no answer.
	awaitsNothing awaited = iota
	// awaitsAck: other messages, and acknowledgements, are followed by acknowledgements. Their
	// sender waits for them if its window is used up.
	awaitsAck
	// awaitsAnswer: a program waits for the answer to any other packet.
	awaitsAnswer
)

// answerTo returns the answer that the sender of a packet may be waiting for.
func answerTo(f packet.Frame) awaited {
	switch f.Type {
	case packet.PUBLISH:
		if f.IsQoS0() {
			return awaitsNothing
		}
		return awaitsAck
	case packet.PUBACK, packet.PUBREC, packet.PUBREL, packet.PUBCOMP:
		return awaitsAck
	default:
		return awaitsAnswer
	}
}

// isOnePerMessage reports whether one packet of this type arrives for each message of QoS 1 or 2.
// These packets are counted, and PUBREC and PUBREL are not: a QoS 2 message would count twice.
func isOnePerMessage(f packet.Frame) bool {
	return f.Type == packet.PUBLISH && !f.IsQoS0() || f.Type == packet.PUBACK || f.Type == packet.PUBCOMP
}

// manyMessages is the number of messages of QoS 1 or 2 per millisecond above which they are many.
// If they are fewer, a delay saves little.
const manyMessages = 3

// messageRate measures how often messages of QoS 1 or 2, or their acknowledgements, arrive.
type messageRate struct {
	since time.Time // start of the current count
	count int       // messages since then
	many  bool      // messages were many when the last count ended
}

// measure reports whether messages are many.
func (r *messageRate) measure(now time.Time) bool {
	if passed := now.Sub(r.since); passed >= time.Millisecond {
		r.many = passed < 2*time.Millisecond && r.count > manyMessages
		r.since, r.count = now, 0
	}
	return r.many
}

// noteHandled records that a packet was handled.
func (w *wire) noteHandled(f packet.Frame) {
	w.awaited = max(w.awaited, answerTo(f))
	if isOnePerMessage(f) {
		w.messages.count++
	}
}

// mayDelay reports whether the next read may be delayed. It depends on the packets that were
// handled since the session was idle.
func (s *Session) mayDelay() bool {
	switch s.conn.awaited {
	case awaitsNothing:
		return true
	case awaitsAck:
		return s.conn.messages.measure(s.readAt) && s.flusher.windowsOpen(s.readAt)
	default:
		return false
	}
}

// noteArrivalLocked records how many messages the server has in flight.
func (s *Session) noteArrivalLocked() {
	inFlight := len(s.unackedInbound) - s.ackedInbound + len(s.state.in.awaitingPubrel)
	if inFlight >= s.mostInbound {
		s.mostInbound = inFlight
		s.flusher.noteWindowUsedUp(s.readAt)
	}
}

// windowPause is the time for which no read is delayed after a window was used up. If a server or
// the bridge uses up its window all the time, one read of 0.35 ms in this time is delayed, which
// costs less than one percent of the throughput.
const windowPause = 50 * time.Millisecond

// noteWindowUsedUp records that a server or the bridge may be waiting for acknowledgements.
func (f *Flusher) noteWindowUsedUp(now time.Time) {
	f.windowUsedUpAt.Store(int64(now.Sub(processStart)))
}

// windowsOpen reports whether no window was used up recently.
func (f *Flusher) windowsOpen(now time.Time) bool {
	return now.Sub(processStart)-time.Duration(f.windowUsedUpAt.Load()) > windowPause
}
