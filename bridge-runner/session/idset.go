// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import "math/bits"

const (
	qos2IDCount = maxLowID + maxTrialID - minTrialID + 1
	wordBits    = 64
)

// idSet is a set of identifiers of QoS 2 messages. It needs 528 bytes. A nil set is empty.
type idSet struct {
	// words have one bit for each identifier: first the low ones, then the identifiers of trials.
	words [(qos2IDCount + wordBits - 1) / wordBits]uint64
	count int
}

// bitOf returns the bit of an identifier of QoS 2 messages.
func bitOf(id uint16) int {
	if id >= minTrialID {
		return int(id) - minTrialID + maxLowID
	}
	return int(id) - 1
}

// idOf is the reverse of bitOf.
func idOf(bit int) uint16 {
	if bit >= maxLowID {
		bit += minTrialID - maxLowID - 1
	}
	return uint16(bit + 1) //nolint:gosec // at most maxTrialID
}

func (s *idSet) has(id uint16) bool {
	return s != nil && isQoS2ID(id) && s.words[bitOf(id)/wordBits]>>(bitOf(id)%wordBits)&1 != 0
}

// add adds an identifier of QoS 2 messages that is not in the set.
func (s *idSet) add(id uint16) {
	s.words[bitOf(id)/wordBits] |= 1 << (bitOf(id) % wordBits)
	s.count++
}

// remove removes an identifier that is in the set.
func (s *idSet) remove(id uint16) {
	s.words[bitOf(id)/wordBits] &^= 1 << (bitOf(id) % wordBits)
	s.count--
}

// next returns the lowest identifier above the given one, or 0 if there is none.
func (s *idSet) next(above uint16) uint16 {
	if s == nil {
		return 0
	}
	return s.search(above, false)
}

// nextLowAbsent returns the lowest low identifier outside the set and above the given one, or 0 if there is none.
func (s *idSet) nextLowAbsent(above uint16) uint16 {
	id := above + 1
	if s != nil {
		id = s.search(above, true)
	}
	if id > maxLowID {
		return 0
	}
	return id
}

// search returns the lowest identifier in the set, or with flip outside the set, above the given one. It returns 0 if
// there is none.
func (s *idSet) search(above uint16, flip bool) uint16 {
	from := int(above) // the bit of the identifier above
	switch {
	case above >= minTrialID:
		from = bitOf(above) + 1
	case above > maxLowID:
		from = maxLowID
	}
	for w := from / wordBits; w < len(s.words); w++ {
		word := s.words[w]
		if flip {
			word = ^word
		}
		if w == from/wordBits {
			word &^= 1<<(from%wordBits) - 1
		}
		if word != 0 {
			return idOf(w*wordBits + bits.TrailingZeros64(word))
		}
	}
	return 0
}

// above returns the lowest identifiers above the given one, in ascending order, at most as many as wanted.
func (s *idSet) above(id uint16, most int) (ids []uint16) {
	for id = s.next(id); id > 0 && len(ids) < most; id = s.next(id) {
		ids = append(ids, id)
	}
	return ids
}
