// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"maps"
	"slices"
)

// staleIDs is a set of packet identifiers under which the server may hold a QoS 2 message that is
// not in flight. The zero value is empty.
//
// After a restart of the process, all identifiers of QoS 2 messages are stale until the first
// QoS 2 message releases them. A bridge whose rules publish at QoS 0 or 1 never sends one, and the
// list of all identifiers needs about 144 KB. So it is only a flag until an identifier changes.
//
// If the earlier process has said in which blocks its messages were, the identifiers outside these
// blocks are released later: QoS 2 messages need not wait for them, but may not use them before.
type staleIDs struct {
	// all is whether all identifiers of QoS 2 messages are in the set, and no PUBREL of them was
	// written on the current connection. byID and later have the other identifiers only.
	all bool
	// suspected are the blocks in which the earlier process had messages. It is 0 if that is unknown,
	// and valid while all is set.
	suspected Blocks
	// byID has the session that wrote the PUBREL of each identifier. It is nil if the PUBREL was
	// not written on the current connection. later is the same for the identifiers that are released
	// later. No identifier is in both.
	byID, later map[uint16]*Session
	// unanswered is the number of PUBRELs that were written on the current connection and have no
	// answer.
	unanswered int
}

// isQoS2ID reports whether QoS 2 messages use the identifier.
func isQoS2ID(id uint16) bool {
	return id >= 1 && id <= maxLowID || id >= minTrialID && id <= maxTrialID
}

func (s *staleIDs) isEmpty() bool { return !s.blocksQoS2() && len(s.later) == 0 }

// blocksQoS2 reports whether QoS 2 messages must wait: the server may hold a message that it would
// process after a newer one.
func (s *staleIDs) blocksQoS2() bool { return s.all || len(s.byID) > 0 }

func (s *staleIDs) has(id uint16) bool {
	_, listed := s.byID[id]
	_, isLater := s.later[id]
	return listed || isLater || s.all && isQoS2ID(id)
}

// add adds an identifier whose PUBREL was not written on the current connection.
func (s *staleIDs) add(id uint16) {
	if s.all && isQoS2ID(id) {
		return
	}
	s.drop(s.byID, id)
	s.drop(s.later, id)
	s.byID = insert(s.byID, id)
}

// insert returns the identifiers with one more, whose PUBREL was not written.
func insert(ids map[uint16]*Session, id uint16) map[uint16]*Session {
	if ids == nil {
		ids = map[uint16]*Session{}
	}
	ids[id] = nil
	return ids
}

// addAll adds all identifiers of QoS 2 messages.
func (s *staleIDs) addAll(suspected Blocks) {
	s.all, s.suspected = true, suspected
	for _, ids := range []map[uint16]*Session{s.byID, s.later} {
		for id := range ids {
			if isQoS2ID(id) {
				s.drop(ids, id)
			}
		}
	}
}

// list puts all identifiers into byID or later.
func (s *staleIDs) list() {
	if !s.all {
		return
	}
	s.all = false
	for id := uint16(1); id <= maxLowID; id++ {
		s.put(id, s.suspected == 0 || s.suspected.has(int(id)))
	}
	for id := uint16(minTrialID); id <= maxTrialID; id++ {
		s.put(id, s.suspected == 0)
	}
}

// put puts an identifier into byID if QoS 2 messages wait for its release, otherwise into later.
func (s *staleIDs) put(id uint16, wait bool) {
	if wait {
		s.byID = insert(s.byID, id)
	} else {
		s.later = insert(s.later, id)
	}
}

func (s *staleIDs) remove(id uint16) {
	if !s.has(id) {
		return
	}
	s.list()
	s.drop(s.byID, id)
	s.drop(s.later, id)
	if len(s.byID) == 0 {
		s.byID = nil // a map keeps its memory
	}
	if len(s.later) == 0 {
		s.later = nil
	}
}

func (s *staleIDs) drop(ids map[uint16]*Session, id uint16) {
	if ids[id] != nil {
		s.unanswered--
	}
	delete(ids, id)
}

// beginConnection records that no PUBREL was written on the connection.
func (s *staleIDs) beginConnection() {
	for _, ids := range []map[uint16]*Session{s.byID, s.later} {
		for id := range ids {
			ids[id] = nil
		}
	}
	s.unanswered = 0
}

// release records that by writes the PUBRELs for which QoS 2 messages wait, and that it has not
// written. It returns their identifiers, in ascending order.
func (s *staleIDs) release(by *Session) (ids []uint16) {
	s.list()
	for _, id := range slices.Sorted(maps.Keys(s.byID)) {
		if s.byID[id] != by {
			ids = append(ids, id)
			s.byID[id] = by
		}
	}
	s.unanswered += len(ids)
	return ids
}

// laterAtOnce is the number of identifiers that are released together while messages flow. A server
// needs one or two milliseconds for them.
const laterAtOnce = 64

// releaseLater records that by writes PUBRELs for which no message waits, if all earlier ones are
// answered. It returns their identifiers, in ascending order: they are above the given identifier, as
// the next messages need them, if there are any.
func (s *staleIDs) releaseLater(by *Session, above uint16) (ids []uint16) {
	if s.blocksQoS2() || s.unanswered > 0 {
		return nil
	}
	ids = slices.Sorted(maps.Keys(s.later))
	if i, _ := slices.BinarySearch(ids, above+1); i < len(ids) {
		ids = ids[i:]
	}
	ids = ids[:min(len(ids), laterAtOnce)]
	for _, id := range ids {
		s.later[id] = by
	}
	s.unanswered += len(ids)
	return ids
}

// lowest returns the lowest identifier whose PUBREL by has written, or 0 if there is none.
func (s *staleIDs) lowest(by *Session) (lowest uint16) {
	for _, ids := range []map[uint16]*Session{s.byID, s.later} {
		for id, writer := range ids {
			if writer == by && (lowest == 0 || id < lowest) {
				lowest = id
			}
		}
	}
	return lowest
}

// clone returns a copy of the set, without the writers of PUBRELs, for another session: all
// identifiers are released before its QoS 2 messages.
func (s *staleIDs) clone() staleIDs {
	c := staleIDs{all: s.all, byID: maps.Clone(s.byID)}
	for id := range s.later {
		c.byID = insert(c.byID, id)
	}
	c.beginConnection()
	return c
}
