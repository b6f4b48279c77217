// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/internal/window"
)

const (
	// maxFlaps limits how often the required stable time of a server doubles.
	maxFlaps = 6
	// probeJitter is the largest random part of the probe interval by which a probe comes
	// earlier or later.
	probeJitter = 0.2
	// probesWhileStable is the least number of probes of a better server within its
	// required stable time, as far as minProbeInterval allows.
	probesWhileStable = 2
	// minProbeInterval is the shortest interval that follows from probesWhileStable.
	minProbeInterval = time.Second
	// maxProbeAge is the greatest age of the latest probe of a server at a failback.
	// Messages wait while the bridge connects to that server.
	maxProbeAge = time.Second
)

// Standby is the next step while a server is in use.
type Standby struct {
	// Probe are the servers to probe now. The machine does not return a server again
	// until the result of its probe is reported.
	Probe []int
	// Switch is the server to switch to, or -1. The caller must report the result with
	// Connected or Failed.
	Switch int
	// Requested is true if the switch was requested, and Removed is true if the server in use
	// was removed from the list. If both are false, the switch is a failback.
	Requested, Removed bool
	// Answer is the answer to the request.
	Answer Answer
	// Wait is the time to wait before the next call of [Machine.NextStandby]. 0 means to wait
	// until an event is reported.
	Wait time.Duration
}

// NextStandby returns the next step for the standby servers while a server is in use.
func (m *Machine) NextStandby(now time.Time) Standby {
	out := m.nextRequested()
	if out.Requested {
		return out
	}
	to, wait := m.nextLeave(now)
	if to != noServer {
		out.Switch, out.Removed = to, true
		return out
	}
	if wait > 0 {
		out.limitWait(wait)
	}
	stable := m.failback(now)
	out.Switch = stable
	if stable != noServer && now.Sub(m.servers[stable].passedAt) > maxProbeAge {
		out.Switch = noServer
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
		if s.probeAt.IsZero() { // random, so that the probes of many bridges are spread from the start
			s.probeAt = now.Add(time.Duration(m.random() * float64(m.interval(i))))
		}
		if wait := s.probeAt.Sub(now); wait > 0 {
			out.limitWait(wait)
			continue
		}
		s.probing = true
		out.Probe = append(out.Probe, i)
	}
	if wait := m.untilFailback(now); wait > 0 {
		out.limitWait(wait)
	}
	return out
}

func (s *Standby) limitWait(d time.Duration) {
	if s.Wait == 0 || d < s.Wait {
		s.Wait = d
	}
}

// Probed reports that a probe of server i has passed or failed. permanent means that the
// server refuses the probe until its configuration or the bridge's is changed. The server
// need not refuse the bridge itself, which has another client identifier. In rounds a
// permanent refusal of a probe therefore counts as any failure.
func (m *Machine) Probed(i int, passed, permanent bool, now time.Time) {
	s := &m.servers[i]
	s.probing = false
	m.probedRequested(i, passed)
	interval := m.interval(i)
	if permanent { // an earlier probe is useless, and may lock an account
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
	s.passedAt = now
	if s.passingSince.IsZero() {
		s.passingSince = now
	}
}

// interval is the time between two probes of a server. It is shorter for a better
// server if its required stable time is short.
func (m *Machine) interval(i int) time.Duration {
	if !m.cfg.Failback || m.active == noServer || m.rank(i) > m.rank(m.active) {
		return m.cfg.ProbeInterval
	}
	return min(m.cfg.ProbeInterval, max(m.requiredStable(i)/probesWhileStable, minProbeInterval))
}

// requiredStable is the time for which a server must be stable before a failback to it.
func (m *Machine) requiredStable(i int) time.Duration {
	return m.cfg.Stable << m.servers[i].flaps
}

// failback returns the best server that has been stable, if the machine may fail back
// now. The caller must check the age of its latest probe. There is no failback before the answer to a
// request: it would be to the requested server, without the probe for the request.
func (m *Machine) failback(now time.Time) int {
	best := noServer
	if m.stopped || m.leaving() || m.request.stage != answered {
		return best
	}
	for i := range m.servers {
		if m.isStable(i, now) && (best == noServer || m.rank(i) < m.rank(best)) {
			best = i
		}
	}
	if best != noServer && !window.Open(m.cfg.Windows, now) {
		return noServer
	}
	return best
}

// isStable reports whether a server is better than the server in use, and has been
// stable for the required time.
func (m *Machine) isStable(i int, now time.Time) bool {
	return m.isCandidate(i) && now.Sub(m.servers[i].passingSince) >= m.requiredStable(i)
}

// isCandidate reports whether a server is better than the server in use, and passes its
// probes.
func (m *Machine) isCandidate(i int) bool {
	return m.cfg.Failback && m.active != noServer && !m.leaving() && i != m.active && m.rank(i) < m.rank(m.active) && !m.servers[i].passingSince.IsZero()
}

// untilFailback is the time until the machine may fail back. It is 0 if that depends on
// the result of a probe.
func (m *Machine) untilFailback(now time.Time) time.Duration {
	var wait time.Duration
	for i := range m.servers {
		if !m.isCandidate(i) {
			continue
		}
		left := max(m.servers[i].passingSince.Add(m.requiredStable(i)).Sub(now), window.UntilOpen(m.cfg.Windows, now))
		if left > 0 && (wait == 0 || left < wait) {
			wait = left
		}
	}
	return wait
}
