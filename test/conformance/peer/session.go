// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"strings"
	"time"
)

const noExpiry = 0xFFFFFFFF

// session is the server's half of a session, and what the server knows of the client's
// half.
type session struct {
	client  string
	subs    map[string]Subscription
	conn    *conn // nil: none
	expiry  uint32
	ended   time.Time // when conn ended
	gone    bool      // forgotten
	process int       // of the client that used the session last
	// confirmed says that the client has sent a packet after a CONNACK of this session.
	confirmed bool
	previous  []string // history of the connection before

	// held are the QoS 2 messages of the client that are not released, by packet
	// identifier (section 4.3.3).
	held map[uint16]*inbound
	// stale are the identifiers in held that an earlier process of the client has used.
	stale map[uint16]bool
	// unacked are messages of the client's process for which no last acknowledgement was
	// sent. acked are those for which one was sent that the client may not have read.
	unacked, acked map[uint16]*inbound
	// released are identifiers that the client may release though the session does not hold
	// them: the client may not have read the PUBCOMP, or the server not the PUBLISH.
	released map[uint16]bool
	// releaseDue says that the client may release identifiers that it does not know: its
	// process is a new one, or it has used another server.
	releaseDue bool
	// newProcess says that the client's process is a new one, which has not begun to publish
	// QoS 2 messages.
	newProcess bool
	// refused says that a message was refused by a reason code, so that it may come again
	// out of order.
	refused bool
	order   int // counts the client's messages

	queue  []*delivery // to the client, not sent yet
	flight []*delivery // sent and not acknowledged, in order
	lastID uint16
}

// inbound is a QoS 1 or 2 message of the client.
type inbound struct {
	p        *Packet
	order    int
	recorded bool // PUBREC was sent
	recOrder int  // counts PUBRECs
}

// delivery is a message on its way to the client.
type delivery struct {
	m        *Message
	qos      byte
	retain   bool
	ids      []uint32
	id       uint16
	released bool // PUBREC came
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

// match returns the highest QoS of the filters that match a topic, whether the RETAIN flag
// is kept, and their identifiers.
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
func (s *session) resume(process int, left bool) {
	if s.process != process {
		s.newProcess, s.refused = true, false
		for id := range s.held {
			s.stale[id] = true
		}
	}
	if s.process != process || left {
		// Nothing that was sent before has to come again.
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

// same reports whether two packets are the same message.
func same(a, b *Packet) bool {
	return a.QoS == b.QoS && a.Topic == b.Topic && a.Payload == b.Payload
}
