// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"hash/maphash"
	"sync"

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
	known      bool
	subscribed bool
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

// Abandon gives up what is in flight to the server: it is sent to that of next. Where
// the two share their sessions, and next goes on with this one, it holds the QoS 2
// messages that were in flight, under identifiers that next may give to others.
func (s *State) Abandon(next *Session) {
	s.mu.Lock()
	s.out.abandon()
	sweep := s.out.sweep
	s.mu.Unlock()
	if sweep && next.resumed {
		next.state.mu.Lock()
		defer next.state.mu.Unlock()
		next.state.out.sweep = true
	}
}

// Holds reports whether m is in flight in this session.
func (s *State) Holds(m *Outgoing) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.holds(m)
}

// hasNoQoS2 notes that the server has no QoS 2: it holds no such messages. RabbitMQ
// falls silent at the PUBRELs of a sweep.
func (s *State) hasNoQoS2() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.inexact = true
}

// begin makes the state that of a connection on which at most window messages may
// be in flight.
func (s *State) begin(resumed bool, window int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !resumed {
		s.out.abandon()
		s.out.sweep, s.out.inexact, s.out.used = false, false, 0
		s.in.reset()
		s.subscribed, s.lowered = false, nil
	}
	s.in.forgetConnection()
	if resumed && !s.known {
		s.out.sweep = true
	}
	s.out.window(window)
	s.known = true
}

// forget makes the session one that this process has not begun: what the server holds of
// it is unknown.
func (s *State) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = false
}

// stage is how far a message on its way out has come.
type stage byte

const (
	unsent    stage = iota
	published       // PUBLISH written
	released        // PUBREC came, PUBREL written (section 4.3.3)
)

// out is what is in flight to the server.
//
// Packet identifiers are used in ascending order, and the lowest follows the highest
// only when no QoS 2 message is in flight. So where a process ends without notice,
// the identifiers of the QoS 2 messages that the server still holds are in the order
// of the messages, and the next process can have them released in that order.
type out struct {
	slots []*Outgoing // by packet identifier
	used  uint16      // the identifier that was used last
	// sweep says that the server may hold QoS 2 messages under identifiers that are not
	// in flight here.
	sweep bool
	// inexact says that the server has no QoS 2, so that there is nothing to sweep.
	inexact bool

	// In flight, in the order in which they were first sent.
	first, last *Outgoing
	count       int
	exact       int       // how many of count are of QoS 2
	limit       int       // of count on this connection
	resend      *Outgoing // the first that is to be sent again on this connection
}

// window allows n messages in flight.
func (o *out) window(n int) {
	const ids = subscribeIDs - 1 // those that messages may have
	o.limit = min(n, ids)
	// The more identifiers, the less often the lowest waits until nothing of QoS 2 is
	// in flight, and the longer a sweep.
	const perMessage = 16
	if most := 1 + min(ids, perMessage*n); most > len(o.slots) {
		o.slots = append(o.slots, make([]*Outgoing, most-len(o.slots))...)
	}
}

// room reports whether another message may be sent.
func (o *out) room() bool {
	return o.count < o.limit && o.resend == nil && (o.exact == 0 || int(o.used)+1 < len(o.slots))
}

// add gives m an identifier and puts it behind the others. There must be room.
func (o *out) add(m *Outgoing) {
	for {
		o.used++
		if int(o.used) >= len(o.slots) || o.used == 0 {
			o.used = 1
		}
		if o.slots[o.used] == nil {
			break
		}
	}
	m.id = o.used
	o.slots[m.id] = m
	m.previous, m.next = o.last, nil
	if o.last == nil {
		o.first = m
	} else {
		o.last.next = m
	}
	o.last = m
	o.count++
	if m.qos == 2 {
		o.exact++
	}
}

// remove ends m.
func (o *out) remove(m *Outgoing) {
	if o.resend == m {
		o.resend = m.next
	}
	if m.previous == nil {
		o.first = m.next
	} else {
		m.previous.next = m.next
	}
	if m.next == nil {
		o.last = m.previous
	} else {
		m.next.previous = m.previous
	}
	m.previous, m.next = nil, nil
	o.slots[m.id] = nil
	m.id, m.stage = 0, unsent
	o.count--
	if m.qos == 2 {
		o.exact--
	}
}

func (o *out) holds(m *Outgoing) bool { return m.id != 0 && o.get(m.id) == m }

func (o *out) get(id uint16) *Outgoing {
	if int(id) >= len(o.slots) {
		return nil
	}
	return o.slots[id]
}

// abandon ends all that is in flight.
func (o *out) abandon() {
	o.sweep = o.sweep || o.exact > 0
	for o.first != nil {
		o.remove(o.first)
	}
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
