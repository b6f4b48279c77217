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
	// suspected are the blocks in which the earlier process had messages: all, if that is unknown. Then it
	// may have had trials, too. suspected is valid while all is set.
	suspected Blocks
	// byID has the session that wrote the PUBREL of each identifier. It is nil if the PUBREL was
	// not written on the current connection.
	byID map[uint16]*Session
	// later are the identifiers that are released later. None of them is in byID. It is nil if there are
	// none.
	later *idSet
	// released are the identifiers of later whose PUBRELs releasedBy wrote on the current connection, in
	// ascending order.
	released   []uint16
	releasedBy *Session
	// unanswered is the number of PUBRELs that were written on the current connection and have no
	// answer.
	unanswered int
}

// isQoS2ID reports whether QoS 2 messages use the identifier.
func isQoS2ID(id uint16) bool {
	return id >= 1 && id <= maxLowID || id >= minTrialID && id <= maxTrialID
}

func (s *staleIDs) isEmpty() bool { return !s.all && len(s.byID) == 0 && s.later == nil }

// blocksQoS2 reports whether QoS 2 messages must wait: the server may hold a message that it would
// process after a newer one.
func (s *staleIDs) blocksQoS2() bool { return s.all && s.suspected != 0 || len(s.byID) > 0 }

// blocks returns the blocks of the identifiers for which QoS 2 messages wait. known is false if some of these
// identifiers are in no block.
func (s *staleIDs) blocks() (blocks Blocks, known bool) {
	if s.all {
		if s.suspected == allBlocks {
			return 0, false
		}
		blocks = s.suspected
	}
	for id := range s.byID {
		if id > maxLowID {
			return 0, false
		}
		blocks.add(int(id))
	}
	return blocks, true
}

func (s *staleIDs) has(id uint16) bool {
	_, listed := s.byID[id]
	return listed || s.later.has(id) || s.all && isQoS2ID(id)
}

// add adds an identifier whose PUBREL was not written on the current connection. Messages wait for its release.
func (s *staleIDs) add(id uint16) {
	switch {
	case !s.all || !isQoS2ID(id):
		s.drop(id)
		s.insert(id)
	case id <= maxLowID:
		s.suspected.add(int(id))
	default:
		s.suspected = allBlocks
	}
}

// insert adds an identifier to byID.
func (s *staleIDs) insert(id uint16) {
	if s.byID == nil {
		s.byID = map[uint16]*Session{}
	}
	s.byID[id] = nil
}

// addAll adds all identifiers of QoS 2 messages.
func (s *staleIDs) addAll(suspected Blocks) {
	s.all, s.suspected = true, suspected
	for id := range s.byID {
		if isQoS2ID(id) {
			s.drop(id)
		}
	}
	s.unanswered -= len(s.released)
	s.later, s.released = nil, nil
}

// list puts all identifiers into byID or later.
func (s *staleIDs) list() {
	if !s.all {
		return
	}
	s.all = false
	for id := uint16(1); id <= maxLowID; id++ {
		s.put(id, s.suspected.has(int(id)))
	}
	for id := uint16(minTrialID); id <= maxTrialID; id++ {
		s.put(id, s.suspected == allBlocks)
	}
}

// put puts an identifier into byID if QoS 2 messages wait for its release, otherwise into later.
func (s *staleIDs) put(id uint16, wait bool) {
	if wait {
		s.insert(id)
		return
	}
	if s.later == nil {
		s.later = &idSet{}
	}
	s.later.add(id)
}

func (s *staleIDs) remove(id uint16) {
	if !s.has(id) {
		return
	}
	s.list()
	s.drop(id)
	if len(s.byID) == 0 {
		s.byID = nil // a map keeps its memory
	}
}

// drop removes an identifier from byID or later.
func (s *staleIDs) drop(id uint16) {
	if s.byID[id] != nil {
		s.unanswered--
	}
	delete(s.byID, id)
	if !s.later.has(id) {
		return
	}
	if i, ok := slices.BinarySearch(s.released, id); ok {
		s.released = slices.Delete(s.released, i, i+1)
		s.unanswered--
	}
	s.later.remove(id)
	if s.later.count == 0 {
		s.later = nil
	}
}

// beginConnection records that no PUBREL was written on the connection.
func (s *staleIDs) beginConnection() {
	for id := range s.byID {
		s.byID[id] = nil
	}
	s.released, s.unanswered = nil, 0
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

const (
	// laterAtOnce is the number of identifiers that are released together while messages flow. A server
	// needs one or two milliseconds for them.
	laterAtOnce = 64
	// laterAtFirst is the number that is released for a message if none is in flight. After a takeover of
	// 1,000 bridges, more would delay the messages of the others.
	laterAtFirst = 4
)

// releaseLater records that by writes the PUBRELs of at most `most` identifiers of later, if all earlier PUBRELs
// are answered. It returns the identifiers, in ascending order: they are above the given identifier, as
// the next messages need them, if there are any.
func (s *staleIDs) releaseLater(by *Session, above uint16, most int) (ids []uint16) {
	if s.blocksQoS2() || s.unanswered > 0 || s.later == nil {
		return nil
	}
	if ids = s.later.above(above, most); len(ids) == 0 {
		ids = s.later.above(0, most)
	}
	s.released, s.releasedBy = slices.Clone(ids), by
	s.unanswered += len(ids)
	return ids
}

// freeLowIDs is the number of low identifiers behind the given one up to the next identifier that is released later.
// Behind the last low identifier, the first one follows.
func (s *staleIDs) freeLowIDs(last uint16) int {
	for _, from := range []uint16{last, 0} {
		if next := s.later.next(from); next > 0 && next <= maxLowID {
			return (int(next) - int(last) - 1 + maxLowID) % maxLowID
		}
	}
	return maxLowID
}

// lowest returns the lowest identifier whose PUBREL by has written, or 0 if there is none.
func (s *staleIDs) lowest(by *Session) (lowest uint16) {
	if s.releasedBy == by && len(s.released) > 0 {
		lowest = s.released[0]
	}
	for id, writer := range s.byID {
		if writer == by && (lowest == 0 || id < lowest) {
			lowest = id
		}
	}
	return lowest
}

// clone returns a copy of the set, without the writers of PUBRELs, for another session: all
// identifiers are released before its QoS 2 messages.
func (s *staleIDs) clone() staleIDs {
	c := staleIDs{all: s.all, suspected: allBlocks, byID: maps.Clone(s.byID)}
	for _, id := range s.later.above(0, maxLowID+maxTrialID) {
		c.insert(id)
	}
	c.beginConnection()
	return c
}
