// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import "time"

// Overdue is for how long the reader should have been through with what came. It is 0
// while it waits for the server.
func (s *Session) Overdue() time.Duration { return s.alive.Overdue() }

// TryLocks takes each lock of the session, and releases it. It blocks while one is held.
func (s *Session) TryLocks() {
	_ = s.isReading()
	_ = s.conn.socket.failure()
}
