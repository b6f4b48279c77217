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
type staleIDs struct {
	// all is whether all identifiers of QoS 2 messages are in the set, and no PUBREL of them was
	// written on the current connection. byID has the other identifiers only.
	all bool
	// byID has the session that wrote the PUBREL of each identifier. It is nil if the PUBREL was
	// not written on the current connection.
	byID map[uint16]*Session
}

// isQoS2ID reports whether QoS 2 messages use the identifier.
func isQoS2ID(id uint16) bool {
	return id >= 1 && id <= maxLowID || id >= minTrialID && id <= maxTrialID
}

func (s *staleIDs) isEmpty() bool { return !s.all && len(s.byID) == 0 }

func (s *staleIDs) has(id uint16) bool {
	_, listed := s.byID[id]
	return listed || s.all && isQoS2ID(id)
}

// add adds an identifier whose PUBREL was not written on the current connection.
func (s *staleIDs) add(id uint16) {
	if s.all && isQoS2ID(id) {
		return
	}
	if s.byID == nil {
		s.byID = map[uint16]*Session{}
	}
	s.byID[id] = nil
}

// addAll adds all identifiers of QoS 2 messages.
func (s *staleIDs) addAll() {
	s.all = true
	maps.DeleteFunc(s.byID, func(id uint16, _ *Session) bool { return isQoS2ID(id) })
}

// list puts all identifiers into byID.
func (s *staleIDs) list() {
	if !s.all {
		return
	}
	s.all = false
	for id := uint16(1); id <= maxLowID; id++ {
		s.add(id)
	}
	for id := uint16(minTrialID); id <= maxTrialID; id++ {
		s.add(id)
	}
}

func (s *staleIDs) remove(id uint16) {
	if !s.has(id) {
		return
	}
	s.list()
	delete(s.byID, id)
	if len(s.byID) == 0 {
		s.byID = nil // a map keeps its memory
	}
}

// beginConnection records that no PUBREL was written on the connection.
func (s *staleIDs) beginConnection() {
	for id := range s.byID {
		s.byID[id] = nil
	}
}

// release records that by writes the PUBRELs that it has not written. It returns their identifiers,
// in ascending order.
func (s *staleIDs) release(by *Session) (ids []uint16) {
	s.list()
	for _, id := range slices.Sorted(maps.Keys(s.byID)) {
		if s.byID[id] != by {
			ids = append(ids, id)
			s.byID[id] = by
		}
	}
	return ids
}

// lowest returns the lowest identifier whose PUBREL by has written, or 0 if there is none.
func (s *staleIDs) lowest(by *Session) (lowest uint16) {
	for id, writer := range s.byID {
		if writer == by && (lowest == 0 || id < lowest) {
			lowest = id
		}
	}
	return lowest
}

// clone returns a copy of the set, without the writers of PUBRELs.
func (s *staleIDs) clone() staleIDs {
	c := staleIDs{all: s.all, byID: maps.Clone(s.byID)}
	c.beginConnection()
	return c
}
