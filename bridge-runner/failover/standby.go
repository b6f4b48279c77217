// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package failover

import "time"

const (
	// mostFlaps bounds the doubling of the time that a server has to be stable.
	mostFlaps = 6
	// probeJitter is by how much of its interval a probe comes earlier or later.
	probeJitter = 0.2
	// probesWhileStable is how often a better server is probed at least while it has
	// to prove stable.
	probesWhileStable = 2
	// minProbeInterval bounds that.
	minProbeInterval = time.Second
	// fresh is how old the latest probe of a server may be that is gone back to. What
	// is forwarded waits while it is connected.
	fresh = time.Second
)

// Standby is what to do while a server is in use.
type Standby struct {
	// Probe are the servers to probe now. They are not named again until they are
	// reported as probed.
	Probe []int
	// Switch is the server to go back to, or -1.
	Switch int
	// Wait is how long to wait and then ask again, 0 for until something is reported.
	Wait time.Duration
}

// Standby says what to do now about the servers that are not in use, while one is.
func (m *Machine) Standby(now time.Time) Standby {
	stable := m.failback(now)
	out := Standby{Switch: stable}
	if stable != none && now.Sub(m.servers[stable].passed) > fresh {
		out.Switch = none
		m.servers[stable].probeAt = now
	}
	if m.cfg.ProbeInterval == 0 {
		return out
	}
	for i := range m.servers {
		s := &m.servers[i]
		if i == m.active || i == out.Switch || s.probing {
			continue
		}
		if s.probeAt.IsZero() { // chance spreads those of many bridges from the start
			s.probeAt = now.Add(time.Duration(m.random() * float64(m.interval(i))))
		}
		if wait := s.probeAt.Sub(now); wait > 0 {
			out.wait(wait)
			continue
		}
		s.probing = true
		out.Probe = append(out.Probe, i)
	}
	if wait := m.untilFailback(now); wait > 0 {
		out.wait(wait)
	}
	return out
}

func (s *Standby) wait(d time.Duration) {
	if s.Wait == 0 || d < s.Wait {
		s.Wait = d
	}
}

// Probed reports that a probe of server i has passed or failed; forGood, that the server
// refused it until something is changed. What it refuses need not be the bridge, whose
// client identifier is another one: in rounds it counts as any failure.
func (m *Machine) Probed(i int, passed, forGood bool, now time.Time) {
	s := &m.servers[i]
	s.probing = false
	interval := m.interval(i)
	if forGood { // sooner is of no use, and may lock an account
		interval = max(interval, m.cfg.RetryMax)
	}
	jitter := 1 + probeJitter*(2*m.random()-1)
	s.probeAt = now.Add(time.Duration(jitter * float64(interval)))
	if i == m.active {
		return
	}
	if !passed {
		m.fail(i, now)
		return
	}
	s.failedAt, s.refusedAt = time.Time{}, time.Time{}
	s.passed = now
	if s.passing.IsZero() {
		s.passing = now
	}
}

// interval is the time between two probes of a server: shorter for one that has to
// prove stable soon.
func (m *Machine) interval(i int) time.Duration {
	if !m.cfg.Failback || m.active == none || m.rank(i) > m.rank(m.active) {
		return m.cfg.ProbeInterval
	}
	return min(m.cfg.ProbeInterval, max(m.hold(i)/probesWhileStable, minProbeInterval))
}

// hold is how long a server has to be stable.
func (m *Machine) hold(i int) time.Duration {
	return m.cfg.Stable << m.servers[i].flaps
}

// failback returns the best server to go back to now, if its latest probe is fresh.
func (m *Machine) failback(now time.Time) int {
	best := none
	for i := range m.servers {
		if m.isDue(i, now) && (best == none || m.rank(i) < m.rank(best)) {
			best = i
		}
	}
	if best != none && !open(m.cfg.Windows, now) {
		return none
	}
	return best
}

// isDue reports whether a server is better than the one in use, and has been stable.
func (m *Machine) isDue(i int, now time.Time) bool {
	return m.mayGoBack(i) && now.Sub(m.servers[i].passing) >= m.hold(i)
}

// mayGoBack reports whether a server is better than the one in use, and passes its
// probes.
func (m *Machine) mayGoBack(i int) bool {
	return m.cfg.Failback && m.active != none && i != m.active && m.rank(i) < m.rank(m.active) && !m.servers[i].passing.IsZero()
}

// untilFailback is how long it takes until the machine may go back, 0 where that
// follows from a probe to come.
func (m *Machine) untilFailback(now time.Time) time.Duration {
	var wait time.Duration
	for i := range m.servers {
		if !m.mayGoBack(i) {
			continue
		}
		left := max(m.servers[i].passing.Add(m.hold(i)).Sub(now), untilOpen(m.cfg.Windows, now))
		if left > 0 && (wait == 0 || left < wait) {
			wait = left
		}
	}
	return wait
}
