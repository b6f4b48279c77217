// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Packet identifiers of messages to the server. Those of SUBSCRIBE are higher.
//
// QoS 2 messages only ever have low identifiers, in every process and on every
// connection. So the server can hold messages of an earlier process under low
// identifiers only, and a new process knows which ones to release, whatever window or
// receive maximum there was before.
const (
	lowIDs    = 4096
	highIDs   = trialIDs - 1
	trialIDs  = subscribeIDs - 64
	trialLast = subscribeIDs - 1
)

// stage is how far the exchange about a message in flight has come (section 4.3).
type stage byte

const (
	published stage = iota // PUBLISH written
	released               // PUBREC came, PUBREL written
)

// qos2Support is what is known of the server's QoS 2.
type qos2Support byte

const (
	qos2Assumed qos2Support = iota
	// qos2Doubtful: it did not answer a PUBREL. The next QoS 2 message shows whether it has
	// QoS 2.
	qos2Doubtful
	// qos2Absent: it has acknowledged a QoS 2 message by PUBACK, as RabbitMQ does. It
	// holds no QoS 2 messages, and falls silent at a PUBREL.
	qos2Absent
	// qos2Rejected: it ends the session at PUBRELs of whatever identifier, or it has QoS 2 and
	// does not answer PUBRELs of identifiers that it does not know. QoS 2 messages are sent at
	// QoS 1, because it may hold others.
	qos2Rejected
)

// out is what is in flight to the server: which message each packet identifier stands
// for. It does not say what to send: a message that is in flight when a connection
// begins is sent again when it is published again.
//
// An identifier is free, in slots, or stale.
//
// Low identifiers are used in ascending order, and the lowest follows the highest only
// when no QoS 2 message is in flight. So if a process ends without notice, the
// identifiers of the QoS 2 messages that the server still holds are in the order of the
// messages, and the next process has them released in that order.
type out struct {
	slots    []*Outgoing // by packet identifier; as long as was needed so far
	count    int         // of messages in slots
	qos2     int         // how many of them are of QoS 2
	low      uint16      // the low identifier that was used last
	lowInUse int
	high     uint16 // the high identifier that was used last; 0: none

	// stale are identifiers under which the server may hold a QoS 2 message that is not
	// in flight here, with the session by which their PUBREL was written; nil: by none of
	// a connection that is left. They become free by PUBCOMP.
	// releaseDue says that the PUBRELs of some were not written on this connection.
	stale      map[uint16]*Session
	releaseDue bool
	support    qos2Support
	// dead are identifiers at whose PUBREL the server ends the session. They are used no
	// more. suspect is the identifier at which the latest sessions ended, and ends how many.
	// rejected is how many suspects in a row became dead with no PUBREL answered meanwhile.
	dead     map[uint16]bool
	suspect  uint16
	ends     int
	rejected int
	// tried says that a trial has shown QoS 2, and no PUBREL of a stale identifier was answered
	// since.
	tried bool
	// lowGrant says that a server of MQTT 3.1.1 has granted a lower QoS than 2. It may have
	// no QoS 2, or grant less to this client, or for this filter.
	lowGrant bool
}

func (o *out) reset() {
	for _, m := range o.slots {
		if m != nil {
			o.remove(m)
		}
	}
	*o = out{slots: o.slots}
}

// forgetConnection is called when a connection begins: nothing was written to it.
func (o *out) forgetConnection() {
	for _, m := range o.slots {
		if m != nil && m.session != nil {
			m.session.untrack(m)
		}
	}
	for id := range o.stale {
		o.stale[id] = nil
	}
	o.releaseDue = true
}

// identify returns a free identifier for a message, or 0 if there is none now.
func (o *out) identify(qos byte) uint16 {
	if qos == 2 && len(o.stale) > 0 {
		return 0
	}
	if o.lowInUse < lowIDs && len(o.stale) == 0 {
		for id := o.low + 1; id <= lowIDs; id++ {
			if o.free(id) {
				return id
			}
		}
		for id := uint16(1); id <= lowIDs && o.qos2 == 0; id++ {
			if o.free(id) {
				return id
			}
		}
	}
	if qos == 2 {
		return 0
	}
	id := max(o.high, lowIDs)
	for range highIDs - lowIDs {
		id++
		if id > highIDs {
			id = lowIDs + 1
		}
		if o.free(id) {
			return id
		}
	}
	return 0
}

// add notes that m is in flight under a free identifier.
func (o *out) add(m *Outgoing, id uint16) {
	if int(id) >= len(o.slots) {
		o.slots = append(o.slots, make([]*Outgoing, max(int(id)+1, min(2*len(o.slots), lowIDs+1))-len(o.slots))...)
	}
	o.slots[id] = m
	m.id, m.stage = id, published
	o.count++
	if id <= lowIDs {
		o.low = id
		o.lowInUse++
	} else if id <= highIDs {
		o.high = id
	}
	if m.qos == 2 {
		o.qos2++
	}
	delete(o.stale, id) // of a trial: its own exchange releases it
}

// trialID returns an identifier for a QoS 2 message that shows whether the server has
// QoS 2. It is random, because an earlier process may have ended while its own was in
// flight.
func (o *out) trialID() uint16 {
	return uint16(trialIDs + rand.IntN(trialLast-trialIDs+1)) //nolint:gosec // no secret
}

// remove ends m.
func (o *out) remove(m *Outgoing) {
	if m.session != nil {
		m.session.untrack(m)
	}
	o.slots[m.id] = nil
	o.count--
	if m.id <= lowIDs {
		o.lowInUse--
	}
	if m.qos == 2 {
		o.qos2--
	}
	m.id = 0
}

// forget ends m, which the server may hold.
func (o *out) forget(m *Outgoing) {
	id := m.id
	o.remove(m)
	if m.qos == 2 {
		o.markStale(id)
	}
}

// abandon ends all that is in flight.
func (o *out) abandon() {
	for _, m := range o.slots {
		if m != nil {
			o.forget(m)
		}
	}
}

func (o *out) get(id uint16) *Outgoing {
	if int(id) >= len(o.slots) {
		return nil
	}
	return o.slots[id]
}

func (o *out) markStale(id uint16) {
	if o.support == qos2Absent {
		return
	}
	if o.stale == nil {
		o.stale = map[uint16]*Session{}
	}
	o.stale[id], o.releaseDue = nil, true
}

// markAllStale is for a session that an earlier process began.
func (o *out) markAllStale() {
	for id := uint16(1); id <= lowIDs; id++ {
		o.markStale(id)
	}
	for id := uint16(trialIDs); id <= trialLast; id++ {
		o.markStale(id)
	}
}

// hasQoS2 notes that the server has answered a QoS 2 message by PUBREC.
func (o *out) hasQoS2() {
	if o.support == qos2Rejected {
		return
	}
	o.tried = o.tried || o.support == qos2Doubtful
	o.support = qos2Assumed
}

// doubtQoS2 notes that the server does not answer PUBRELs. answering says that it has
// answered a ping meanwhile.
func (o *out) doubtQoS2(answering bool) {
	o.support = qos2Doubtful
	if o.tried && answering {
		o.support = qos2Rejected
	}
}

// hasNoQoS2 notes that the server has no QoS 2: it holds nothing.
func (o *out) hasNoQoS2() {
	o.support, o.stale = qos2Absent, nil
}

// endsAtRelease is how many sessions in a row end before the PUBREL of the same identifier
// is answered until it is not released any more. The server may hold a message at which it
// ends the session, and which it handles only then.
const endsAtRelease = 4

// rejectsRelease is how many identifiers in a row end like that if it is so with each.
const rejectsRelease = 2

// endedAtRelease notes that the server has ended s. PUBRELs are answered in order, so the
// lowest stale identifier may be why.
func (o *out) endedAtRelease(s *Session) {
	lowest := uint16(0)
	for id, by := range o.stale {
		if by == s && (lowest == 0 || id < lowest) {
			lowest = id
		}
	}
	if lowest == 0 {
		return
	}
	if lowest != o.suspect {
		o.suspect, o.ends = lowest, 0
	}
	o.ends++
	if o.ends < endsAtRelease {
		return
	}
	o.suspect = 0
	o.bury(lowest)
	o.rejected++
	if o.rejected >= rejectsRelease {
		o.support = qos2Rejected
	}
}

// bury has an identifier never used again, nor released.
func (o *out) bury(id uint16) {
	if o.dead == nil {
		o.dead = map[uint16]bool{}
	}
	o.dead[id] = true
	delete(o.stale, id)
}

// takesNoQoS2 reports whether the server has shown that messages go to it at QoS 1 at most.
func (o *out) takesNoQoS2() bool { return o.support == qos2Absent || o.support == qos2Rejected }

// free reports whether an identifier may be used.
func (o *out) free(id uint16) bool { return o.get(id) == nil && !o.dead[id] }

// unreleased returns the stale identifiers whose PUBREL was not written by s, in
// ascending order.
func (o *out) unreleased(s *Session) []uint16 {
	var ids []uint16
	for _, id := range slices.Sorted(maps.Keys(o.stale)) {
		if o.stale[id] != s {
			ids = append(ids, id)
		}
	}
	return ids
}
