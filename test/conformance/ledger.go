// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/conformance/peer"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// bridgeID is the client identifier of the bridge at all servers.
const bridgeID = "bridge"

// message is a numbered message from one side to the other.
type message struct {
	stream   *stream
	seq      uint64
	size     int
	hash     uint64
	accepted time.Time
	sent     bool
	era      int // era in which it was first sent to the bridge
	arrivals int
	arrived  time.Time // time of the first arrival
	lowered  bool      // it arrived at a lower QoS, so that it may arrive again
	acked    bool      // the bridge has acknowledged it to the source
	refused  bool      // the destination has refused it with a transient code
	over     bool      // nothing further is expected: it has arrived and is acknowledged, or the source has dropped it
	poison   bool      // the destination ends each session at it
}

// stream is the numbered messages of one topic at one QoS.
type stream struct {
	name, topic string
	qos         byte
	from        *peer.Server
	last        uint64    // number of the latest message
	highest     [3]uint64 // highest number that has arrived, by QoS: servers may lower the QoS, and order holds within one QoS
	waiting     int       // number of messages that the source has accepted and that are not over
}

// ledger is the application layer of all servers: it knows each message and checks its delivery.
// Lock order: the lock of a server, then mu.
type ledger struct {
	local  string // name of the local server
	disk   bool   // the bridge may acknowledge messages that are on its disk
	pair   bool   // two processes use the same sessions
	report func(text string)

	mu       sync.Mutex
	messages map[string]*message
	active   map[string]string // the server that the bridge used last, by side
	users    map[string]string // the user of the latest connection of the bridge, by server
	era      int               // number of events after which a QoS 2 message may arrive twice
	changed  time.Time         // time at which a message was last over
}

func newLedger(local string, report func(string)) *ledger {
	return &ledger{local: local, report: report, messages: map[string]*message{}, active: map[string]string{}, users: map[string]string{}}
}

func key(stream string, seq uint64) string { return fmt.Sprintf("%s %d", stream, seq) }

// add creates the next message of a stream.
func (l *ledger) add(s *stream, size int) (*message, *peer.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.last++
	s.waiting++
	payload := string(traffic.Message{Stream: s.name, Seq: s.last, Sent: time.Now()}.Encode(size))
	m := &message{stream: s, seq: s.last, size: len(payload), hash: hash(payload), accepted: time.Now()}
	l.messages[key(s.name, m.seq)] = m
	return m, &peer.Message{Topic: s.topic, Payload: payload, QoS: s.qos, Retain: s.last%7 == 0}
}

// reject removes a message for which the source had no subscriber.
func (l *ledger) reject(m *message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.messages, key(m.stream.name, m.seq))
	m.stream.waiting--
}

func hash(payload string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(payload)) // never fails
	return h.Sum64()
}

func (l *ledger) findLocked(payload string) *message {
	m, ok := traffic.Decode([]byte(payload))
	if !ok {
		return nil
	}
	return l.messages[key(m.Stream, m.Seq)]
}

// violationLocked reports a violated guarantee of the bridge. The caller also holds the lock of s.
func (l *ledger) violationLocked(s *peer.Server, format string, args ...any) {
	v := peer.Violation{Server: s.Name(), Text: fmt.Sprintf(format, args...), History: s.HistoryLocked(bridgeID)}
	l.report(v.String())
}

func (m *message) String() string {
	return fmt.Sprintf("%s %d (QoS %d, %d bytes)", m.stream.name, m.seq, m.stream.qos, m.size)
}

// newEra records an event after which a QoS 2 message may arrive twice.
func (l *ledger) newEra() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.era++
}

func (l *ledger) side(s *peer.Server) string {
	if s.Name() == l.local {
		return "local"
	}
	return "remote"
}

// Arrived checks a message that the bridge has published.
func (l *ledger) Arrived(s *peer.Server, p *peer.Packet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.findLocked(p.Payload)
	switch {
	case m == nil:
		l.violationLocked(s, "%s was never published", p)
		return
	case l.side(s) == l.side(m.stream.from):
		l.violationLocked(s, "%s returns to its source side", m)
	case p.Topic != m.stream.topic || hash(p.Payload) != m.hash:
		l.violationLocked(s, "%s arrives changed: %s", m, p)
	case p.QoS > m.stream.qos:
		l.violationLocked(s, "%s arrives at QoS %d", m, p.QoS)
	}
	m.lowered = m.lowered || p.QoS < m.stream.qos
	m.arrivals++
	if m.arrivals > 1 {
		switch {
		case m.stream.qos == 2 && !m.lowered && m.era == l.era:
			l.violationLocked(s, "%s arrives %d times, and no event explains it", m, m.arrivals)
		case l.pair && m.over:
			l.violationLocked(s, "%s arrives %d times, although it was acknowledged to its source before", m, m.arrivals)
		}
		return
	}
	m.arrived = time.Now()
	highest := &m.stream.highest[p.QoS]
	if m.seq < *highest && !m.refused && !m.over {
		l.violationLocked(s, "%s arrives behind %d", m, *highest)
	}
	*highest = max(*highest, m.seq)
	l.checkOverLocked(m)
}

// checkOverLocked records that a message is over, if it is.
func (l *ledger) checkOverLocked(m *message) {
	if ended := m.arrivals > 0 && (m.acked || m.stream.qos == 0) || m.poison && m.acked; ended && !m.over {
		m.stream.waiting--
		m.over = true
		l.changed = time.Now()
	}
}

// Refused records that the server has refused a message.
func (l *ledger) Refused(_ *peer.Server, p *peer.Packet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.findLocked(p.Payload); m != nil {
		m.refused = true
	}
}

// Sent records that the bridge may have a message from now on.
func (l *ledger) Sent(_ *peer.Server, pm *peer.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.findLocked(pm.Payload); m != nil && !m.sent {
		m.sent, m.era = true, l.era
		if m.stream.qos == 0 && !m.over { // it may be lost from now on
			m.stream.waiting--
			m.over = true
		}
	}
}

// Acknowledged checks that the destination has a message that the bridge has acknowledged.
func (l *ledger) Acknowledged(s *peer.Server, pm *peer.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.findLocked(pm.Payload)
	if m == nil {
		return
	}
	if m.arrivals == 0 && !m.poison && !l.disk {
		l.violationLocked(s, "the bridge acknowledges %s, which no server on the other side has", m)
	}
	m.acked = true
	l.checkOverLocked(m)
}

// SessionDropped records that the source has dropped a message with a session.
func (l *ledger) SessionDropped(_ *peer.Server, pm *peer.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.findLocked(pm.Payload)
	if m == nil || m.over {
		return
	}
	m.stream.waiting--
	m.over = true
	if m.stream.qos > 0 {
		l.era++
	}
}

// Connected records the events after which QoS 2 messages may arrive twice: a switch to another
// server, a new session, a lower maximum QoS.
func (l *ledger) Connected(s *peer.Server, c *peer.Connect, limits *peer.Limits, present bool) {
	if c.ClientID != bridgeID {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if side := l.side(s); l.active[side] != s.Name() {
		l.active[side] = s.Name()
		l.era++
	}
	if !present || limits.LowQoS || l.users[s.Name()] != c.Username {
		l.era++
	}
	l.users[s.Name()] = c.Username
}

// waiting returns the number of messages of a stream that are not over.
func (l *ledger) waiting(s *stream) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.waiting
}

// missing describes the messages that are not over. It distinguishes lost messages from messages
// that the source still has.
func (l *ledger) missing(streams []*stream) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lost, atSource []string
	for _, m := range l.messages {
		if m.over || !slices.Contains(streams, m.stream) {
			continue
		}
		if m.acked {
			lost = append(lost, m.String())
		} else {
			atSource = append(atSource, fmt.Sprintf("%s arrivals=%d sent=%t", m, m.arrivals, m.sent))
		}
	}
	var b strings.Builder
	for name, list := range map[string][]string{"acknowledged to the source and not arrived": lost, "not acknowledged to the source": atSource} {
		if len(list) > 0 {
			slices.Sort(list)
			fmt.Fprintf(&b, "%d messages %s, such as %s; ", len(list), name, strings.Join(list[:min(3, len(list))], ", "))
		}
	}
	return b.String()
}

// slowest returns the longest time that a message of the streams took to arrive.
func (l *ledger) slowest(streams []*stream) (longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.messages {
		if m.arrivals > 0 && slices.Contains(streams, m.stream) {
			longest = max(longest, m.arrived.Sub(m.accepted))
		}
	}
	return longest
}

// poison marks a message that the destination does not accept.
func (l *ledger) poison(m *message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.poison = true
}
