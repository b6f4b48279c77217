// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"slices"
	"time"
)

// leastStandstill is the shortest silence of a control stream that counts as a standstill of the machine.
const leastStandstill = 5 * time.Millisecond

// Standstills are times in which the machine stood still, in order: a control stream, which passes no
// bridge, was silent. A test with limits in milliseconds can then run on a busy machine, because only the
// rest of a time is the bridge's own.
type Standstills []Silence

// NewStandstills returns the standstills of a machine on which a control stream had the given silences, see
// [Excess].
func NewStandstills(control []Silence) Standstills {
	return slices.DeleteFunc(slices.Clone(control), func(s Silence) bool { return s.Length() < leastStandstill })
}

// Own returns the length of a time without the standstills.
func (c Standstills) Own(s Silence) time.Duration {
	rest := s.Length()
	first, _ := slices.BinarySearchFunc(c, s.From, func(c Silence, t time.Time) int { return c.To.Compare(t) })
	for _, standstill := range c[first:] {
		if standstill.From.After(s.To) {
			break
		}
		rest -= s.Overlap(standstill)
	}
	return rest
}

// Longest returns the longest of the silences, and the longest one without the standstills.
func (c Standstills) Longest(silences []Silence) (gap Silence, own time.Duration) {
	for _, s := range silences {
		if s.Length() > gap.Length() {
			gap = s
		}
		own = max(own, c.Own(s))
	}
	return gap, own
}

// Excess is like [Silences], less the interval between two messages, during which no message is expected.
func Excess(interval time.Duration, from, to time.Time, streams ...[]Arrival) []Silence {
	silences := Silences(from, to, streams...)
	for i := range silences {
		silences[i].From = silences[i].From.Add(interval)
	}
	return silences
}
