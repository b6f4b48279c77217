// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"math/rand/v2"
	"time"
)

// Packet identifiers of messages to the server. SUBSCRIBE and UNSUBSCRIBE packets have higher
// identifiers.
//
// In every process and on every connection QoS 2 messages have low identifiers, except the
// trial message (see trialID). So the server can hold messages of an earlier process only
// under these identifiers, and a new process knows which identifiers to release,
// independent of the earlier window or receive maximum.
const (
	maxLowID   = 4096
	maxHighID  = minTrialID - 1
	minTrialID = minRequestID - 64
	maxTrialID = minRequestID - 1
)

// stage is the progress of the exchange about a message in flight (section 4.3).
type stage byte

const (
	stagePublished stage = iota // PUBLISH written
	stageReleased               // PUBREC received, PUBREL written
)

// qos2Support is the knowledge about the server's support of QoS 2.
type qos2Support byte

const (
	qos2Assumed qos2Support = iota
	// qos2Doubtful: the server did not answer a PUBREL. The next QoS 2 message is a trial
	// that shows whether it supports QoS 2.
	qos2Doubtful
	// qos2Unsupported: the server has acknowledged a QoS 2 message by PUBACK, as RabbitMQ
	// does. It holds no QoS 2 messages, and stops answering after a PUBREL.
	qos2Unsupported
	// qos2Unusable: the server ends the session at PUBRELs of any identifier, or it
	// supports QoS 2 and does not answer PUBRELs of unknown identifiers. QoS 2 messages are
	// sent at QoS 1, because the server may hold others under their identifiers.
	qos2Unusable
)

// outgoingState holds the messages in flight to the server by packet identifier. It does
// not decide which messages to send: a message in flight at the beginning of a connection
// is sent again when the caller publishes it again.
//
// An identifier is free, in byID, stale or retired.
//
// Low identifiers are used in ascending order, and the order wraps only when no QoS 2
// message is in flight. So if a process ends without notice, the identifiers of the QoS 2
// messages that the server still holds are in the order of the messages, and the next
// process releases them in that order.
//
// outgoingState has no lock of its own: State.mu guards it, and its methods require
// State.mu.
type outgoingState struct {
	// byID are the messages in flight, by packet identifier. It is as long as the highest
	// identifier has required so far.
	byID []*Outgoing
	// count is the number of messages in byID, and qos2InFlight the number of them with QoS 2.
	count        int
	qos2InFlight int
	// blocks are the blocks of the QoS 2 messages in flight.
	blocks qos2Blocks
	// lastLowID is the low identifier that was used last, and lowIDsInUse the number of low
	// identifiers in byID.
	lastLowID   uint16
	lowIDsInUse int
	// lastHighID is the high identifier that was used last, 0 if none was.
	lastHighID uint16

	// stale are the identifiers under which the server may hold a QoS 2 message that is not in
	// byID. PUBCOMP makes an identifier free.
	stale staleIDs
	// releaseDue is whether the PUBRELs of some stale identifiers were not written on this
	// connection.
	releaseDue bool
	support    qos2Support
	// retired are the identifiers at whose PUBREL the server ends the session. They are never
	// used again.
	retired map[uint16]bool
	// endingID is the stale identifier at whose PUBREL the latest sessions ended, and
	// endingCount the number of these sessions.
	endingID    uint16
	endingCount int
	// retiredInARow is the number of identifiers that were retired since the server last
	// answered a PUBREL of a stale identifier.
	retiredInARow int
	// trialPassed is whether a trial has shown QoS 2 since the server last answered a PUBREL of
	// a stale identifier.
	trialPassed bool
	// grantedBelowQoS2 is whether a server of MQTT 3.1.1 has granted a QoS below 2. The server
	// may not support QoS 2, or may grant less to this client or for this filter.
	grantedBelowQoS2 bool
}

func (o *outgoingState) reset() {
	for _, m := range o.byID {
		if m != nil {
			o.remove(m)
		}
	}
	*o = outgoingState{byID: o.byID, blocks: o.blocks}
	o.blocks.reset()
}

// beginConnection is called when a connection begins: nothing was written to it yet.
func (o *outgoingState) beginConnection() {
	for _, m := range o.byID {
		if m != nil && m.session != nil {
			m.session.untrackOutgoingLocked(m)
		}
	}
	o.stale.beginConnection()
	o.releaseDue = true
}

// nextID returns a free identifier for a message, or 0 if there is none at present.
func (o *outgoingState) nextID(qos byte) uint16 {
	id := o.freeID(qos)
	if qos == 2 && id > 0 && !o.blocks.mayUse(id) {
		return 0
	}
	return id
}

func (o *outgoingState) freeID(qos byte) uint16 {
	if qos == 2 && o.stale.blocksQoS2() {
		return 0
	}
	if o.lowIDsInUse < maxLowID && (qos == 2 || o.stale.isEmpty()) {
		if id := o.freeLowID(o.lastLowID); id > 0 {
			return id
		}
		if o.qos2InFlight == 0 {
			if id := o.freeLowID(0); id > 0 {
				return id
			}
		}
	}
	if qos == 2 {
		return 0
	}
	id := max(o.lastHighID, maxLowID)
	for range maxHighID - maxLowID {
		id++
		if id > maxHighID {
			id = maxLowID + 1
		}
		if o.isFree(id) {
			return id
		}
	}
	return 0
}

// freeLowID returns the lowest free low identifier above the given one, or 0 if there is none.
func (o *outgoingState) freeLowID(above uint16) uint16 {
	for id := o.stale.later.nextLowAbsent(above); id > 0; id = o.stale.later.nextLowAbsent(id) {
		if o.isFree(id) {
			return id
		}
	}
	return 0
}

// add records that m is in flight under a free identifier.
func (o *outgoingState) add(m *Outgoing, id uint16) {
	if int(id) >= len(o.byID) {
		o.byID = append(o.byID, make([]*Outgoing, max(int(id)+1, min(2*len(o.byID), maxLowID+1))-len(o.byID))...)
	}
	o.byID[id] = m
	m.id, m.stage = id, stagePublished
	o.count++
	if id <= maxLowID {
		o.lastLowID = id
		o.lowIDsInUse++
	} else if id <= maxHighID {
		o.lastHighID = id
	}
	o.stale.remove(id) // if m is a trial: its own exchange releases the identifier
	if m.qos == 2 {
		o.qos2InFlight++
		if id <= maxLowID {
			o.blocks.add(id, o.qos2InFlight)
		} else {
			o.blocks.ask() // the other process must suspect the identifier of the trial
		}
	}
}

// trialID returns an identifier for a trial: a QoS 2 message that shows whether the server
// supports QoS 2. The identifier is random, because an earlier process may have ended while
// its own trial was in flight.
func (o *outgoingState) trialID() uint16 {
	return uint16(minTrialID + rand.IntN(maxTrialID-minTrialID+1)) //nolint:gosec // no secret
}

// remove removes m, which is no longer in flight.
func (o *outgoingState) remove(m *Outgoing) {
	if m.session != nil {
		m.session.untrackOutgoingLocked(m)
	}
	o.byID[m.id] = nil
	o.count--
	if m.id <= maxLowID {
		o.lowIDsInUse--
	}
	if m.qos == 2 {
		o.qos2InFlight--
		if m.id <= maxLowID {
			o.blocks.inFlight[blockOf(m.id)]--
		} else {
			o.blocks.ask() // without a trial, the blocks are known again
		}
	}
	m.id = 0
}

// trialsInFlight reports whether QoS 2 messages without a low identifier are in flight.
func (o *outgoingState) trialsInFlight() bool {
	low := 0
	for _, n := range o.blocks.inFlight {
		low += int(n)
	}
	return low < o.qos2InFlight
}

// forget removes m, which the server may hold.
func (o *outgoingState) forget(m *Outgoing) {
	id := m.id
	o.remove(m)
	if m.qos == 2 {
		o.markStale(id)
	}
}

// abandon removes all messages in flight, which the server may hold.
func (o *outgoingState) abandon() {
	for _, m := range o.byID {
		if m != nil {
			o.forget(m)
		}
	}
}

func (o *outgoingState) get(id uint16) *Outgoing {
	if int(id) >= len(o.byID) {
		return nil
	}
	return o.byID[id]
}

func (o *outgoingState) markStale(id uint16) {
	if o.support == qos2Unsupported {
		return
	}
	o.stale.add(id)
	o.releaseDue = true
	o.blocks.ask() // the other process must suspect the identifier
}

// markEachStale marks the identifiers under which no QoS 2 message is in flight.
func (o *outgoingState) markEachStale(ids []uint16) {
	for _, id := range ids {
		if m := o.get(id); m == nil || m.qos < 2 {
			o.markStale(id)
		}
	}
}

// markAllStale marks all identifiers of QoS 2 messages. It is for a session that an earlier
// process began. That process had messages in the suspected blocks only.
func (o *outgoingState) markAllStale(suspected Blocks) {
	if o.support == qos2Unsupported {
		return
	}
	o.stale.addAll(suspected)
	o.releaseDue = true
	o.blocks.ask() // the other process must suspect the identifiers
}

// confirmQoS2 records that the server has answered a QoS 2 message by PUBREC.
func (o *outgoingState) confirmQoS2() {
	if o.support == qos2Unusable {
		return
	}
	o.trialPassed = o.trialPassed || o.support == qos2Doubtful
	o.support = qos2Assumed
}

// doubtQoS2 records that the server does not answer PUBRELs. answering is whether it has
// answered a ping meanwhile.
func (o *outgoingState) doubtQoS2(answering bool) {
	o.support = qos2Doubtful
	if o.trialPassed && answering {
		o.support = qos2Unusable
	}
}

// markQoS2Unsupported records that the server does not support QoS 2: it holds no QoS 2
// messages.
func (o *outgoingState) markQoS2Unsupported() {
	o.support, o.stale = qos2Unsupported, staleIDs{}
}

// maxEndsAtRelease is the number of sessions in a row that may end before the server
// answers the PUBREL of an identifier; then the identifier is retired. The server may hold
// a message that it processes only at the PUBREL, and that makes it end the session.
const maxEndsAtRelease = 4

// maxRetiredInARow is the number of identifiers in a row that are retired before QoS 2
// counts as unusable on this server.
const maxRetiredInARow = 2

// recordEndDuringRelease records that the server has ended s after PUBRELs of stale
// identifiers. The server answers PUBRELs in order, so the lowest stale identifier may be
// the cause.
func (o *outgoingState) recordEndDuringRelease(s *Session) {
	lowest := o.stale.lowest(s)
	if lowest == 0 {
		return
	}
	if lowest != o.endingID {
		o.endingID, o.endingCount = lowest, 0
	}
	o.endingCount++
	if o.endingCount < maxEndsAtRelease {
		return
	}
	o.endingID = 0
	o.retire(lowest)
	o.retiredInARow++
	if o.retiredInARow >= maxRetiredInARow {
		o.support = qos2Unusable
	}
}

// retire marks an identifier that is never used again and never released.
func (o *outgoingState) retire(id uint16) {
	if o.retired == nil {
		o.retired = map[uint16]bool{}
	}
	o.retired[id] = true
	o.stale.remove(id)
}

func (o *outgoingState) retireAll(ids []uint16) {
	for _, id := range ids {
		o.retire(id)
	}
}

// limitedToQoS1 reports whether the server has shown that messages must be sent to it at
// QoS 1 at most.
func (o *outgoingState) limitedToQoS1() bool {
	return o.support == qos2Unsupported || o.support == qos2Unusable
}

// isFree reports whether an identifier may be used.
func (o *outgoingState) isFree(id uint16) bool {
	return o.get(id) == nil && !o.retired[id] && !o.stale.has(id)
}

// trackOutgoingLocked records that m is written on this connection and not acknowledged.
func (s *Session) trackOutgoingLocked(m *Outgoing, now time.Time) {
	if s.unackedOutgoing == 0 {
		s.lastAckAt = now
	}
	s.unackedOutgoing++
	m.session, m.previous, m.next = s, s.lastUnacked, nil
	if s.lastUnacked == nil {
		s.firstUnacked = m
	} else {
		s.lastUnacked.next = m
	}
	s.lastUnacked = m
}

// untrackOutgoingLocked reverses trackOutgoingLocked.
func (s *Session) untrackOutgoingLocked(m *Outgoing) {
	s.unackedOutgoing--
	if m.previous == nil {
		s.firstUnacked = m.next
	} else {
		m.previous.next = m.next
	}
	if m.next == nil {
		s.lastUnacked = m.previous
	} else {
		m.next.previous = m.previous
	}
	m.session, m.previous, m.next = nil, nil, nil
}
