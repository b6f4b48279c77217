// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"math/rand/v2"
	"time"
)

// A timer runs the checks of the watcher, so that an idle session needs no goroutine for it: a
// process with many bridges has thousands of idle sessions. While the session waits for an answer,
// or data is written, checks take place several times per timeout. An idle session has one check
// per ping, and one after the answer to it. The first data that is written after a check moves the
// next check to an earlier time.

// schedule plans the checks. State.mu guards it.
type schedule struct {
	timer *time.Timer // nil before Start
	// at is when timer fires. It is valid while no check is running.
	at      time.Time
	running bool // a check is running
	// again is whether the next check must follow the running check at once.
	again bool
}

// startWatchLocked begins the checks.
func (s *Session) startWatchLocked() {
	if s.closed {
		return
	}
	w := &watcher{s: s, pingInterval: spreadPings(s.keepAlive)}
	w.uplink.updatedAt = time.Now()
	s.checks.at = w.uplink.updatedAt
	s.checks.timer = time.AfterFunc(0, func() { s.watch(w) })
}

// watch runs one check, and plans the next one. Only one check runs at a time.
func (s *Session) watch(w *watcher) {
	s.state.mu.Lock()
	skip := s.checks.running || s.closed
	if !skip {
		s.checks.running, s.checks.again = true, false
	}
	s.state.mu.Unlock()
	if skip {
		return
	}
	next, err := w.check(time.Now())
	if err != nil {
		s.endWithDisconnect(codeUnspecified, err, w.ending)
		return
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.checks.running = false
	if s.closed {
		return
	}
	switch {
	case s.checks.again:
		next = 0
	case s.flushedSinceCheck: // perhaps after the check has looked
		next = min(next, s.firstCheck())
	}
	s.checks.at = time.Now().Add(next)
	s.checks.timer.Reset(next)
}

// checkSoonLocked makes the next check take place within d.
func (s *Session) checkSoonLocked(now time.Time, d time.Duration) {
	c := &s.checks
	switch {
	case c.timer == nil || s.closed:
	case c.running:
		c.again = c.again || d == 0
	case c.at.Sub(now) > d:
		c.at = now.Add(d)
		c.timer.Reset(d)
	}
}

// nothingAwaitedLocked reports whether the server has no message and no PUBREL to acknowledge.
func (s *Session) nothingAwaitedLocked() bool {
	return s.unackedOutgoing == 0 && s.state.out.stale.unanswered == 0
}

// firstCheck is the longest time until the check after data was written on an idle session.
func (s *Session) firstCheck() time.Duration {
	return min(s.cfg.AckTimeout, s.cfg.PingTimeout) / 4
}

// checkInterval is the time between two checks while data is in transit, or is written.
func (s *Session) checkInterval() time.Duration {
	timeout := min(s.cfg.AckTimeout, s.cfg.PingTimeout)
	return max(min(timeout/checksPerTimeout, maxCheckInterval), minCheckInterval)
}

// The checks of idle sessions take place at multiples of gridInterval since the start of the
// process, up to gridInterval early, so that one wake-up of the process serves many sessions.
// Checks that are due within gridFrom are not moved.
const (
	gridInterval = 250 * time.Millisecond
	gridFrom     = 16 * gridInterval
)

var processStart = time.Now()

// onGrid returns the time until the latest multiple of gridInterval before now + next.
func onGrid(now time.Time, next time.Duration) time.Duration {
	if next < gridFrom {
		return next
	}
	return next - now.Add(next).Sub(processStart)%gridInterval
}

// spreadPings returns a random ping interval: the keep alive or up to a quarter less, if checks are on the grid.
// Thousands of sessions may have been idle since the same moment, for example since the process
// started. If all of them sent their pings at one multiple of gridInterval, messages of other
// sessions would wait for tens of milliseconds.
func spreadPings(keepAlive time.Duration) time.Duration {
	if keepAlive < gridFrom {
		return keepAlive
	}
	return max(keepAlive-rand.N(keepAlive/4), gridFrom) //nolint:gosec // not a secret
}
