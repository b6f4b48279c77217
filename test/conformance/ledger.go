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

// bridgeID is the client identifier of the bridge on all servers.
const bridgeID = "bridge"

// message is a numbered message on its way from one side to the other.
type message struct {
	stream   *stream
	seq      uint64
	size     int
	hash     uint64
	accepted time.Time
	sent     bool
	era      int // when it was first sent to the bridge
	arrivals int
	arrived  time.Time // the first time
	lowered  bool      // it arrived at a lower QoS, so that it may arrive again
	taken    bool      // the bridge has acknowledged it to the source
	refused  bool      // the destination has refused it for a moment
	over     bool      // nothing more is expected of it: it has arrived and is taken, or the source has dropped it
	poison   bool      // the destination ends each session at it
}

// stream is the numbered messages of one topic at one QoS.
type stream struct {
	name, topic string
	qos         byte
	from        *peer.Server
	last        uint64    // sequence number of the latest
	highest     [3]uint64 // of those that have arrived, by QoS, which servers may lower: order is within one
	waiting     int       // accepted by the source, and neither arrived and taken nor forgotten
}

// ledger is the application layer of all servers: it knows each message and checks what
// becomes of it. Its lock is below those of the servers.
type ledger struct {
	local  string // name of the local server
	disk   bool   // the bridge may acknowledge what is on its disk
	report func(text string)

	mu       sync.Mutex
	messages map[string]*message
	active   map[string]string // the server that the bridge used last, by side
	era      int               // counts the events after which a QoS 2 message may come twice
	changed  time.Time         // when a message last came to its end
}

func newLedger(local string, report func(string)) *ledger {
	return &ledger{local: local, report: report, messages: map[string]*message{}, active: map[string]string{}}
}

func key(stream string, seq uint64) string { return fmt.Sprintf("%s %d", stream, seq) }

// add makes the next message of a stream.
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

// reject takes back a message for which the source had no subscriber.
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

func (l *ledger) find(payload string) *message {
	m, ok := traffic.Decode([]byte(payload))
	if !ok {
		return nil
	}
	return l.messages[key(m.Stream, m.Seq)]
}

// violation reports a broken promise of the bridge.
func (l *ledger) violation(s *peer.Server, format string, args ...any) {
	v := peer.Violation{Server: s.Name(), Text: fmt.Sprintf(format, args...), History: s.HistoryLocked(bridgeID)}
	l.report(v.String())
}

func (m *message) String() string {
	return fmt.Sprintf("%s %d (QoS %d, %d bytes)", m.stream.name, m.seq, m.stream.qos, m.size)
}

// newEra notes an event after which a QoS 2 message may come twice.
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
	m := l.find(p.Payload)
	switch {
	case m == nil:
		l.violation(s, "%s was never published", p)
		return
	case l.side(s) == l.side(m.stream.from):
		l.violation(s, "%s comes back to the side that it came from", m)
	case p.Topic != m.stream.topic || hash(p.Payload) != m.hash:
		l.violation(s, "%s arrives changed: %s", m, p)
	case p.QoS > m.stream.qos:
		l.violation(s, "%s arrives at QoS %d", m, p.QoS)
	}
	m.lowered = m.lowered || p.QoS < m.stream.qos
	m.arrivals++
	if m.arrivals > 1 {
		if m.stream.qos == 2 && !m.lowered && m.era == l.era {
			l.violation(s, "%s arrives %d times, and nothing happened that explains it", m, m.arrivals)
		}
		return
	}
	m.arrived = time.Now()
	highest := &m.stream.highest[p.QoS]
	if m.seq < *highest && !m.refused && !m.over {
		l.violation(s, "%s arrives behind %d", m, *highest)
	}
	*highest = max(*highest, m.seq)
	l.landed(m)
}

// landed notes that a message has come to its end, if it has.
func (l *ledger) landed(m *message) {
	if ended := m.arrivals > 0 && (m.taken || m.stream.qos == 0) || m.poison && m.taken; ended && !m.over {
		m.stream.waiting--
		m.over = true
		l.changed = time.Now()
	}
}

// Refused notes that the server at hand has refused a message.
func (l *ledger) Refused(_ *peer.Server, p *peer.Packet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.find(p.Payload); m != nil {
		m.refused = true
	}
}

// Sent notes that the bridge may have a message from now on.
func (l *ledger) Sent(_ *peer.Server, pm *peer.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.find(pm.Payload); m != nil && !m.sent {
		m.sent, m.era = true, l.era
		if m.stream.qos == 0 && !m.over { // it may be lost from now on
			m.stream.waiting--
			m.over = true
		}
	}
}

// Taken checks that the destination has a message that the bridge has acknowledged.
func (l *ledger) Taken(s *peer.Server, pm *peer.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.find(pm.Payload)
	if m == nil {
		return
	}
	if m.arrivals == 0 && !m.poison && !l.disk {
		l.violation(s, "the bridge acknowledges %s, which no server on the other side has", m)
	}
	m.taken = true
	l.landed(m)
}

// Forgotten notes that the source has dropped a message with a session.
func (l *ledger) Forgotten(_ *peer.Server, pm *peer.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.find(pm.Payload)
	if m == nil || m.over {
		return
	}
	m.stream.waiting--
	m.over = true
	if m.stream.qos > 0 {
		l.era++
	}
}

// Connected notes what makes that QoS 2 messages may come twice: a switch to another
// server, a session that is new, a lower maximum QoS.
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
	if !present || limits.LowQoS {
		l.era++
	}
}

// waiting is how many messages of a stream are under way.
func (l *ledger) waiting(s *stream) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.waiting
}

// missing describes the messages that are under way, and tells lost ones from others.
func (l *ledger) missing(streams []*stream) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lost, held []string
	for _, m := range l.messages {
		if m.over || !slices.Contains(streams, m.stream) {
			continue
		}
		if m.taken {
			lost = append(lost, m.String())
		} else {
			held = append(held, fmt.Sprintf("%s arrivals=%d sent=%t", m, m.arrivals, m.sent))
		}
	}
	var b strings.Builder
	for name, list := range map[string][]string{"acknowledged to the source and not arrived": lost, "not acknowledged to the source": held} {
		if len(list) > 0 {
			slices.Sort(list)
			fmt.Fprintf(&b, "%d messages %s, such as %s; ", len(list), name, strings.Join(list[:min(3, len(list))], ", "))
		}
	}
	return b.String()
}

// slowest is the longest time that a message of the streams took to arrive.
func (l *ledger) slowest(streams []*stream) (most time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.messages {
		if m.arrivals > 0 && slices.Contains(streams, m.stream) {
			most = max(most, m.arrived.Sub(m.accepted))
		}
	}
	return most
}

// poison marks a message that the destination does not take.
func (l *ledger) poison(m *message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.poison = true
}
