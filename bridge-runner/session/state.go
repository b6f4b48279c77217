// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

// State is the client's half of a session with one server (MQTT 3.1.1 section 4.1):
// what is in flight in each direction. It outlives connections, so that a session
// that the server has kept goes on where it stopped; where the server has not kept
// it, it starts anew. One [Session] at a time may use it.
type State struct {
	mu sync.Mutex

	// known says that what the server holds of this session is known here: it began
	// in this process. It is not after a restart.
	known bool
	// begun is when the server last began the session, and left when its latest connection
	// ended; zero: not in this process.
	begun, left time.Time

	subscribed bool
	gaveUp     *Error    // why no session is opened any more
	lowered    []lowered // of the subscriptions, while subscribed
	bit        bridgeBit

	out out
	in  in
}

// NewState returns the state of a session that this process has not seen yet.
func NewState() *State {
	s := &State{}
	s.in.reset()
	return s
}

// Subscribed reports whether the subscriptions were made in this session, so that a
// server that resumes it has them. Made again, they could bring retained messages
// again ([MQTT-3.8.4-3]).
func (s *State) Subscribed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.subscribed
}

// Lowered reports whether the server granted a subscription of this session at a lower
// QoS than asked for. A server that resumes the session keeps that QoS until the
// subscription is made again.
func (s *State) Lowered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lowered) > 0
}

// Abandon drops all that is in flight to this server; the caller publishes it on next.
// If both servers share their sessions and next has resumed this one, the server still
// holds these QoS 2 messages under packet identifiers that next might use for others:
// next releases them first. A session that next's server began after this one was left holds
// none of them.
func (s *State) Abandon(next *Session) {
	s.mu.Lock()
	s.out.abandon()
	left := s.left
	stale, dead := slices.Collect(maps.Keys(s.out.stale)), slices.Collect(maps.Keys(s.out.dead))
	s.mu.Unlock()
	next.state.mu.Lock()
	defer next.state.mu.Unlock()
	if !next.resumed || !left.IsZero() && next.state.begun.After(left) {
		return
	}
	for _, id := range dead {
		next.state.out.bury(id)
	}
	for _, id := range stale {
		if m := next.state.out.get(id); m == nil || m.qos < 2 {
			next.state.out.markStale(id)
		}
	}
}

// Holds reports whether m is in flight in this session.
func (s *State) Holds(m *Outgoing) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return m.id != 0 && s.out.get(m.id) == m
}

// Forget drops a message that is in flight and is not to be published again. If it is of
// QoS 2, its identifier is released before it is used for another message.
func (s *State) Forget(m *Outgoing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.id != 0 && s.out.get(m.id) == m {
		s.out.forget(m)
	}
}

// GiveUp is Forget for a message at which servers end the session. If the server has it,
// and would handle it at its PUBREL, its identifier is not released but never used again.
func (s *State) GiveUp(m *Outgoing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.id == 0 || s.out.get(m.id) != m {
		return
	}
	id, stage := m.id, m.stage
	s.out.forget(m)
	if stage == released {
		s.out.bury(id)
	}
}

// grantedLess notes that a server of MQTT 3.1.1 has granted a lower QoS than 2.
func (s *State) grantedLess() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.lowGrant = true
}

// doubtQoS2 notes that the server does not answer PUBRELs, though it may have answered a
// ping.
func (s *State) doubtQoS2(answering bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.doubtQoS2(answering)
}

// begin makes the state that of a new connection.
func (s *State) begin(resumed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !resumed {
		s.out.reset()
		s.in.reset()
		s.begun, s.subscribed, s.lowered = time.Now(), false, nil
	}
	s.in.forgetConnection()
	s.out.forgetConnection()
	if resumed && !s.known {
		s.out.markAllStale()
	}
	s.known = true
}

// forget makes the session one that this process has not begun: what the server holds of
// it is unknown.
func (s *State) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = false
}

// in is what the server has in flight to this client.
type in struct {
	// held are QoS 1 and 2 messages that were handed on and not acknowledged, by
	// packet identifier.
	held map[uint16]*Inbound
	// received are QoS 2 messages for which PUBREC was sent and PUBREL has not come,
	// by packet identifier, as hashes of what they say.
	received map[uint16]uint64
}

func (i *in) reset() {
	i.held, i.received = map[uint16]*Inbound{}, map[uint16]uint64{}
}

// forgetConnection is called where a connection begins: what is held came by
// another one.
func (i *in) forgetConnection() {
	for _, m := range i.held {
		m.session = nil
	}
}

// forgetOthers drops what came by earlier connections: the server has numbered its
// messages anew.
func (i *in) forgetOthers() {
	i.forgetHeld(1)
	i.forgetHeld(2)
	clear(i.received)
}

func (i *in) forgetHeld(qos byte) {
	for id, m := range i.held {
		if m.session == nil && m.QoS == qos {
			delete(i.held, id)
		}
	}
}

// elsewhere reports whether what a message says is held under another identifier, and
// did not come by the connection at hand. Either the server numbers its messages anew,
// or m is a message alike whose PUBACK it did not get; at QoS 2 the former.
func (i *in) elsewhere(m *Inbound) bool {
	for _, o := range i.held {
		if o.session == nil && sameContent(&o.Publish, &m.Publish) {
			return true
		}
	}
	return false
}

var seed = maphash.MakeSeed()

func contentHash(p *packet.Publish) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.WriteString(p.Topic) // never fails
	_ = h.WriteByte(0)
	_, _ = h.WriteString(p.Payload)
	return h.Sum64()
}

func sameContent(a, b *packet.Publish) bool {
	return a.QoS == b.QoS && a.Topic == b.Topic && a.Payload == b.Payload
}
