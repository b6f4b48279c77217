// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// step is a step of a schedule.
type step struct {
	at   time.Duration
	name string
	do   func()
}

// schedule is the faults of two runners, in the order of their times.
type schedule struct {
	random *rand.Rand
	twins  *twins
	// cutServer ends the connections to one of the two servers.
	cutServer func(server int, reset bool)
	steps     []step
}

const (
	// shortFreeze is not noticed, longFreeze is.
	shortFreeze = 600 * time.Millisecond
	longFreeze  = noticed + 100*time.Millisecond
)

// newSchedule makes a random schedule. Faults may overlap.
func newSchedule(random *rand.Rand, w *twins, cutServer func(server int, reset bool)) *schedule {
	s := &schedule{random: random, twins: w, cutServer: cutServer}
	length := 4 * time.Second
	if w.timeout > 0 {
		length = 10 * time.Second
	}
	for range 2 + random.IntN(4) {
		s.fault(s.between(0, length))
	}
	slices.SortStableFunc(s.steps, func(a, b step) int { return int(a.at - b.at) })
	return s
}

func (s *schedule) between(low, high time.Duration) time.Duration {
	return low + time.Duration(s.random.Int64N(int64(high-low)))
}

func (s *schedule) add(at time.Duration, do func(), name string, args ...any) {
	s.steps = append(s.steps, step{at, fmt.Sprintf(name, args...), do})
}

// fault adds a random fault, and its end.
func (s *schedule) fault(at time.Duration) {
	w, i := s.twins, s.random.IntN(2)
	switch n := s.random.IntN(14); {
	case n < 3:
		s.add(at, func() { w.kill(i) }, "kill %d", i)
		s.add(at+s.between(0, 2*time.Second), func() { w.start(i) }, "start %d", i)
	case n < 6:
		s.freeze(at, i)
	case n < 8:
		s.add(at, func() { w.handOver(i) }, "hand over from %d", i)
	case n < 9:
		s.add(at, func() { w.terminate(i) }, "terminate %d", i)
		s.add(at+s.between(0, 2*time.Second), func() { w.start(i) }, "start %d", i)
	case n < 10:
		reset := s.random.IntN(2) == 0
		s.add(at, func() { w.sessionsEnd(); s.cutServer(i, reset) }, "server %d ends its connections, by RST %t", i, reset)
	case w.linked:
		s.cut(at)
	default:
		s.freeze(at, i)
	}
}

// freeze adds a freeze that is too short to be noticed, or long. With a timeout, it may be long enough
// for a takeover.
func (s *schedule) freeze(at time.Duration, i int) {
	w := s.twins
	length := s.between(50*time.Millisecond, shortFreeze)
	if s.random.IntN(3) > 0 {
		length = s.between(longFreeze, longFreeze+2*time.Second+3*w.timeout/2)
	}
	s.add(at, func() { w.freeze(i) }, "freeze %d", i)
	s.add(at+length, func() { w.thaw(i) }, "continue %d", i)
}

// cut adds a cut of the connection between the runners, in one or both directions.
func (s *schedule) cut(at time.Duration) {
	w, to, reset := s.twins, s.random.IntN(3)-1, s.random.IntN(2) == 0
	if s.random.IntN(4) == 0 {
		s.add(at, w.reset, "the connection is reset")
		return
	}
	s.add(at, func() { w.cutTo(to, reset) }, "the network loses the data to %d (-1: both), by RST %t", to, reset)
	s.add(at+s.between(100*time.Millisecond, 3*time.Second+7*w.timeout/2), w.heal, "the network heals")
}

// run carries out the steps, until done returns true.
func (s *schedule) run(done func() bool) {
	began := time.Now()
	for i := range s.steps {
		time.Sleep(time.Until(began.Add(s.steps[i].at)))
		if done() {
			return
		}
		s.steps[i].name = clock(time.Now()) + " " + s.steps[i].name
		s.steps[i].do()
		if s.twins.timeout > 0 {
			s.twins.mayForget()
		}
	}
}

// log logs the steps, and the command that repeats them.
func (s *schedule) log(t testing.TB, test string, seed uint64) {
	for _, step := range s.steps {
		t.Logf("%6.3f %s", step.at.Seconds(), step.name)
	}
	t.Logf("repeat with: go test ./test/conformance -run TwoRunners.*%s -pairs=1 -seed=%d", test, seed)
}
