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

// State is the client's part of a session with one server (MQTT 3.1.1 section 4.1): the
// messages in flight in each direction, and a record of the subscriptions. It outlives connections. If the server resumes the
// session, the exchanges continue; otherwise the State starts empty. Only one [Session] at
// a time may use it.
type State struct {
	mu sync.Mutex

	// known is whether the session began in this process, so that the State knows which messages
	// the server may hold. It is false after a restart.
	known bool
	// suspected are the blocks of the QoS 2 messages of an earlier process, see AssumeFreeQoS2Blocks.
	suspected Blocks
	// begunAt is when the server last began the session. It is zero if that has not happened in this process.
	begunAt time.Time
	// endedAt is when the latest connection ended. It is zero while a connection is open, and before the first one.
	endedAt time.Time

	// subscriptions are the subscriptions of this session on the server.
	subscriptions subscriptionRecord
	// rejected is the error that Open returns, from Session.RejectServer until AllowServer. It is nil
	// otherwise.
	rejected   error
	bridgeFlag bridgeFlag

	out outgoingState
	in  incomingState
}

// NewState returns the state of a session that this process has not used yet.
func NewState() *State {
	s := &State{suspected: allBlocks, subscriptions: subscriptionRecord{}}
	s.in.reset()
	return s
}

// AssumeClean makes a new State trust that the server holds no QoS 2 message of an earlier process: the
// earlier process has said so after the end of its session, see Held. It is called before the first
// connection. So no identifier has to be released before it is used.
func (s *State) AssumeClean() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = true
}

// Held describes the QoS 2 messages that a server may hold under the identifiers of a session that has ended.
type Held struct {
	// Used is true if this process has used the session, or has assumed that it is clean.
	Used bool
	// None is true if the server holds no message, and will not receive one.
	None bool
	// Free are the blocks in which it holds none, for AssumeFreeQoS2Blocks.
	Free Blocks
}

// Held returns the messages that the server may hold. It is for a session that has ended.
func (s *State) Held() (h Held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.Used = s.known
	stale, known := s.out.stale.blocks()
	if s.known && known && s.out.count == 0 {
		h.None, h.Free = s.out.stale.isEmpty() && len(s.out.retired) == 0, ^stale
	}
	return h
}

// Abandon drops all messages in flight to this server; the caller publishes them on next.
// If both servers share session state and next has resumed this session, the server still
// holds these QoS 2 messages under packet identifiers that next might use for other
// messages: next releases them (PUBREL) first. If next's server began its session after
// this session's connection ended, it holds none of them.
func (s *State) Abandon(next *Session) {
	s.mu.Lock()
	s.out.abandon()
	endedAt := s.endedAt
	stale, retired := s.out.stale.clone(), slices.Collect(maps.Keys(s.out.retired))
	s.mu.Unlock()
	next.state.mu.Lock()
	defer next.state.mu.Unlock()
	if !next.mayShareLocked(endedAt) {
		return
	}
	out := &next.state.out
	out.retireAll(retired)
	if stale.all && out.qos2InFlight == 0 {
		out.markAllStale(allBlocks)
		stale.all = false
	}
	stale.list()
	out.markEachStale(slices.Collect(maps.Keys(stale.byID)))
}

// ReleaseOn makes next release the QoS 2 messages that this session's server may still hold, like Abandon. It is for a
// server that the bridge has used before the latest one: it may share session state with next's server although the
// latest one does not. It does not concern identifiers of an earlier process: next has its own
// record of them. ReleaseOn returns false if the server holds no messages.
func (s *State) ReleaseOn(next *Session) (holds bool) {
	s.mu.Lock()
	endedAt := s.endedAt
	stale, retired := slices.Collect(maps.Keys(s.out.stale.byID)), slices.Collect(maps.Keys(s.out.retired))
	s.mu.Unlock()
	if len(stale)+len(retired) == 0 {
		return false
	}
	next.state.mu.Lock()
	defer next.state.mu.Unlock()
	if next.mayShareLocked(endedAt) {
		next.state.out.retireAll(retired)
		next.state.out.markEachStale(stale)
	}
	return true
}

// mayShareLocked reports whether the session may have the messages of a session whose connection ended at the given
// time, zero if it is open.
func (s *Session) mayShareLocked(endedAt time.Time) bool {
	return s.resumed && (endedAt.IsZero() || !s.state.begunAt.After(endedAt))
}

// InFlight reports whether m is in flight in this session.
func (s *State) InFlight(m *Outgoing) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return m.id != 0 && s.out.get(m.id) == m
}

// Forget drops a message in flight that will not be published again. The identifier of a
// QoS 2 message is released before another message uses it.
func (s *State) Forget(m *Outgoing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.id != 0 && s.out.get(m.id) == m {
		s.out.forget(m)
	}
}

// GiveUp drops a message at which servers end the session, like Forget. If the server has
// confirmed the message by PUBREC, it would process the message at PUBREL; so its
// identifier is not released and never used again.
func (s *State) GiveUp(m *Outgoing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.id == 0 || s.out.get(m.id) != m {
		return
	}
	id, stage := m.id, m.stage
	s.out.forget(m)
	if stage == stageReleased {
		s.out.retire(id)
	}
}

// AwaitsRelease reports whether a QoS 2 message from the server is in the middle of its
// exchange: PUBREC was sent, and PUBREL has not arrived.
func (s *State) AwaitsRelease() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.in.awaitingPubrel) > 0
}

// doubtQoS2 records that the server does not answer PUBRELs. answering is whether it has
// answered a ping meanwhile.
func (s *State) doubtQoS2(answering bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.doubtQoS2(answering)
}

// beginConnection prepares the state for a new connection.
func (s *State) beginConnection(resumed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !resumed {
		s.out.reset()
		s.in.reset()
		s.begunAt, s.subscriptions = time.Now(), subscriptionRecord{}
	}
	s.endedAt = time.Time{}
	s.subscriptions.beginConnection()
	s.in.beginConnection()
	s.out.beginConnection()
	if resumed && !s.known {
		s.out.markAllStale(s.suspected)
	}
	s.known, s.suspected = true, allBlocks
}

// markUnknown marks the session as not begun in this process: it is unknown which messages
// the server holds.
func (s *State) markUnknown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = false
}

// incomingState holds the messages that the server has in flight to this client. It has no
// lock of its own: State.mu guards it, and its methods require State.mu.
type incomingState struct {
	// pendingAck are the QoS 1 and 2 messages that the handler has received and not
	// acknowledged, by packet identifier.
	pendingAck map[uint16]*Inbound
	// awaitingPubrel are the QoS 2 messages for which PUBREC was sent and PUBREL has not
	// arrived: hashes of their contents, by packet identifier.
	awaitingPubrel map[uint16]uint64
	// earlier are the identifiers of the pending messages that arrived on earlier connections, by the
	// hashes of their contents. It is nil until it is needed. It may contain messages that are not
	// pending any more, or have arrived again.
	earlier map[uint64][]uint16
}

func (i *incomingState) reset() {
	*i = incomingState{pendingAck: map[uint16]*Inbound{}, awaitingPubrel: map[uint16]uint64{}}
}

// beginConnection is called when a connection begins: the pending messages arrived on
// earlier connections.
func (i *incomingState) beginConnection() {
	i.earlier = nil
	for _, m := range i.pendingAck {
		m.session = nil
	}
}

// dropPreviousConnections drops the messages of earlier connections, because the server has
// renumbered its messages.
func (i *incomingState) dropPreviousConnections() {
	i.dropPendingAck(1)
	i.dropPendingAck(2)
	clear(i.awaitingPubrel)
}

// dropPendingAck drops the pending messages of this QoS that arrived on earlier connections.
func (i *incomingState) dropPendingAck(qos byte) {
	for id, m := range i.pendingAck {
		if m.session == nil && m.QoS == qos {
			delete(i.pendingAck, id)
		}
	}
}

// heldUnderOtherID reports whether a message of an earlier connection with the content of m
// is pending under another identifier. If so, either the server has renumbered its
// messages, or m is a different message with the same content whose PUBACK the server has
// not received; at QoS 2 only the former is possible.
//
// A server may send tens of thousands of messages again, so that this must not visit all
// pending messages each time.
func (i *incomingState) heldUnderOtherID(m *Inbound) bool {
	if i.earlier == nil {
		i.earlier = map[uint64][]uint16{}
		for id, o := range i.pendingAck {
			if o.session == nil {
				hash := contentHash(&o.Publish)
				i.earlier[hash] = append(i.earlier[hash], id)
			}
		}
	}
	hash := contentHash(&m.Publish)
	for ids := i.earlier[hash]; len(ids) > 0; i.earlier[hash] = ids {
		last := len(ids) - 1
		if i.isEarlier(ids[last]) {
			return true
		}
		ids = ids[:last]
	}
	return false
}

// isEarlier reports whether a pending message has this identifier and arrived on an earlier connection.
func (i *incomingState) isEarlier(id uint16) bool {
	o := i.pendingAck[id]
	return o != nil && o.session == nil
}

var seed = maphash.MakeSeed()

func contentHash(p *packet.Publish) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.WriteString(p.Topic) // never fails
	_ = h.WriteByte(0)
	_ = h.WriteByte(p.QoS)
	_, _ = h.WriteString(p.Payload)
	return h.Sum64()
}

func sameContent(a, b *packet.Publish) bool {
	return a.QoS == b.QoS && a.Topic == b.Topic && a.Payload == b.Payload
}
