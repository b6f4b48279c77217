// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"time"
)

// maxLeavePause is the longest pause between two attempts to leave the removed server for the
// same server, unless Config.RetryMax is longer. Messages wait during such an attempt.
const maxLeavePause = 10 * time.Minute

// Reconfigured applies other settings and another list of servers. kept[i] is the previous index
// of server i, or -1 if nothing is known about the server. Its length replaces Config.Servers.
//
// If the server in use is not in the list any more, it gets the index len(kept) until it is lost
// or another server is in use. [Machine.NextStandby] returns switches to the other servers, but
// the removed server stays in use until one of them is connected.
//
// A request for a server that is not kept is withdrawn. While no server is in use, a change of the
// settings ends a wait, and a server that has refused permanently is tried again: a user may have
// removed the cause.
func (m *Machine) Reconfigured(cfg Config, kept []int, now time.Time) {
	servers, active := make([]server, len(kept), len(kept)+1), newIndex(kept, m.active)
	for i, old := range kept {
		if old != noServer {
			servers[i] = m.servers[old]
		}
	}
	if m.active != noServer && active == noServer {
		active = len(servers)
		servers = append(servers, m.servers[m.active])
	}
	requested := newIndex(kept, m.request.server)
	if requested == noServer {
		m.request = request{}
	}
	m.request.server = requested
	m.first = newIndex(kept, m.first)
	m.cfg, m.cfg.Servers, m.servers, m.active = cfg, len(kept), servers, active
	for i := range m.servers {
		m.reconfigureServer(i, now)
	}
	m.endWait(now)
}

// newIndex returns the index of the server that had the index old, or noServer.
func newIndex(kept []int, old int) int {
	if old == noServer {
		return noServer
	}
	return slices.Index(kept, old)
}

// reconfigureServer drops the times that follow from the previous settings.
func (m *Machine) reconfigureServer(i int, now time.Time) {
	s := &m.servers[i]
	s.leaveFailures, s.leaveFailedAt = 0, time.Time{}
	if m.active == noServer {
		s.refusedAt = time.Time{}
	}
	latest := (1 + probeJitter) * float64(max(m.interval(i), m.cfg.RetryMax))
	if s.probeAt.Sub(now) > time.Duration(latest) {
		s.probeAt = time.Time{}
	}
}

// Cancelled reports that the caller has cancelled the attempt at server i, which it began because
// of Next. The attempt does not count.
func (m *Machine) Cancelled(i int) { m.servers[i].tried = false }

// leaving reports whether the server in use was removed from the list.
func (m *Machine) leaving() bool { return m.active == m.cfg.Servers }

// dropRemoved forgets the removed server, which is no longer in use.
func (m *Machine) dropRemoved() { m.servers = m.servers[:m.cfg.Servers] }

// nextLeave returns the server for which the machine leaves the removed server now. If there is
// none, wait is the time until an attempt is due, or 0 if there is nothing to wait for.
func (m *Machine) nextLeave(now time.Time) (to int, wait time.Duration) {
	to = noServer
	if m.stopped || !m.leaving() {
		return to, 0
	}
	for i := range m.cfg.Servers {
		left := m.leaveDue(i).Sub(now)
		switch {
		case left > 0:
			if wait == 0 || left < wait {
				wait = left
			}
		case to == noServer || m.better(i, to, now):
			to = i
		}
	}
	return to, wait
}

// leaveDue returns the time from which the machine may leave the removed server for server i.
// After a failed attempt it waits for RetryMax if the server has passed a probe since. Otherwise
// the pause doubles with each attempt, because messages wait while the bridge connects to a server
// that does not answer.
func (m *Machine) leaveDue(i int) time.Time {
	s := &m.servers[i]
	var due time.Time
	if !s.refusedAt.IsZero() {
		due = s.refusedAt.Add(m.cfg.RetryMax)
	}
	if s.leaveFailures == 0 {
		return due
	}
	pause := m.cfg.RetryMax
	if s.passingSince.IsZero() {
		pause = max(pause, min(pause<<(s.leaveFailures-1), maxLeavePause))
	}
	if failed := s.leaveFailedAt.Add(pause); failed.After(due) {
		due = failed
	}
	return due
}

// leaveFailed records a failed attempt to leave the removed server for server i.
func (m *Machine) leaveFailed(i int, now time.Time) {
	s := &m.servers[i]
	s.leaveFailures, s.leaveFailedAt = min(s.leaveFailures+1, maxFlaps), now
}
