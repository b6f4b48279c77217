// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import "time"

// Overdue returns for how long the reader has exceeded the time for handling packets. It is
// 0 while the reader waits for the server.
func (s *Session) Overdue() time.Duration { return s.alive.Overdue() }

// CheckLocks acquires and releases each lock of the session. It blocks while a lock is held.
func (s *Session) CheckLocks() {
	_ = s.isReading()
	_ = s.conn.WriteError()
	s.flusher.checkLock()
}

func (f *Flusher) checkLock() {
	f.mu.Lock()
	f.mu.Unlock() //nolint:gocritic,staticcheck // the section is empty on purpose
}
