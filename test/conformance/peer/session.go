// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"strings"
	"time"
)

const noExpiry = 0xFFFFFFFF

// session is the server's state of a session, and the server's knowledge of the client's state.
type session struct {
	client  string
	subs    map[string]Subscription
	conn    *conn // nil if not connected
	expiry  uint32
	ended   time.Time // time at which conn ended
	process int       // number of the client process that used the session last
	// confirmed is set when the client has sent a packet after a CONNACK of this session.
	confirmed bool
	previous  []string // history of the previous connection

	// held contains the client's unreleased QoS 2 messages, by packet identifier (section 4.3.3).
	held map[uint16]*inbound
	// stale contains the identifiers in held that an earlier process of the client used.
	stale map[uint16]bool
	// unacked contains the messages of the client's process without a final acknowledgement. acked
	// contains the messages whose final acknowledgement was sent and may not have been read by the
	// client.
	unacked, acked map[uint16]*inbound
	// released contains identifiers that the client may release although the session does not hold
	// them: the client may not have read the PUBCOMP, or the server may not have read the PUBLISH.
	released map[uint16]bool
	// releaseDue is set if the client may release unknown identifiers, because its process is new
	// or because it has used another server.
	releaseDue bool
	// newProcess is set if the client's process is new and has not begun to publish QoS 2 messages.
	newProcess bool
	// refused is set if a message was refused with a reason code, so that it may be sent again out
	// of order.
	refused bool
	order   int // number of the client's messages so far

	queue  []*delivery // to the client, not sent
	flight []*delivery // sent and not acknowledged, in order
	lastID uint16
}

// inbound is a QoS 1 or 2 message of the client.
type inbound struct {
	p           *Packet
	order       int
	pubrecSent  bool // PUBREC was sent
	pubrecOrder int  // number of the PUBREC on its connection
}

// delivery is a message to the client.
type delivery struct {
	m        *Message
	qos      byte
	retain   bool
	ids      []uint32
	id       uint16
	released bool // PUBREC has arrived
}

func newSession(client string, process int) *session {
	return &session{
		client: client, process: process, subs: map[string]Subscription{},
		held: map[uint16]*inbound{}, stale: map[uint16]bool{}, released: map[uint16]bool{},
		unacked: map[uint16]*inbound{}, acked: map[uint16]*inbound{},
	}
}

// retainAsPublished is an option of a subscription of MQTT 5 (section 3.8.3.1).
const retainAsPublished = 8

// match returns the highest QoS of the filters that match a topic, whether the RETAIN flag is kept,
// and their identifiers.
func (s *session) match(topic string) (qos byte, retain bool, ids []uint32, ok bool) {
	for filter, sub := range s.subs {
		if matches(filter, topic) {
			qos, ok = max(qos, sub.QoS), true
			retain = retain || sub.Options&retainAsPublished != 0
			if sub.ID > 0 {
				ids = append(ids, sub.ID)
			}
		}
	}
	return qos, retain, ids, ok
}

func matches(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	if strings.HasPrefix(topic, "$") && (f[0] == "+" || f[0] == "#") { // [MQTT-4.7.2-1]
		return false
	}
	for i, level := range f {
		switch {
		case level == "#":
			return true
		case i >= len(t), level != "+" && level != t[i]:
			return false
		}
	}
	return len(f) == len(t)
}

// resume prepares a session for a connection of a process.
func (s *session) resume(process int, usedOther bool) {
	if s.process != process {
		s.newProcess, s.refused = true, false
		for id := range s.held {
			s.stale[id] = true
		}
	}
	if s.process != process || usedOther {
		// The client need not send any earlier message again.
		s.releaseDue = true
		clear(s.unacked)
		clear(s.acked)
	}
	s.process = process
}

// freeID returns a packet identifier for a delivery.
func (s *session) freeID(lowest bool) uint16 {
	used := make(map[uint16]bool, len(s.flight))
	for _, d := range s.flight {
		used[d.id] = true
	}
	if lowest {
		s.lastID = 0
	}
	for {
		s.lastID++
		if s.lastID != 0 && !used[s.lastID] {
			return s.lastID
		}
	}
}

// same reports whether two packets contain the same message.
func same(a, b *Packet) bool {
	return a.QoS == b.QoS && a.Topic == b.Topic && a.Payload == b.Payload
}
