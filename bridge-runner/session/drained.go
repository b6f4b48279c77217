// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import "time"

// Persistent reports whether the server keeps the session after the end of the connection.
func (s *Session) Persistent() bool {
	return !s.cfg.CleanStart && (!s.server.HasSessionExpiry || s.server.SessionExpiry > 0)
}

// drainCheck is a check of Drained. The zero value is none.
type drainCheck struct {
	at time.Time
	// arrivals is the value of Session.arrivals at the check, and ping the number of its PINGREQ.
	arrivals uint64
	ping     int64
}

// Drained reports whether the server has no more messages of QoS 1 and 2 for a session without subscriptions:
// all messages are acknowledged, and since then the server has answered a PINGREQ, and has sent no message for
// the time quiet. Drained sends the PINGREQ. The caller calls it again until it returns true.
func (s *Session) Drained(quiet time.Duration) bool {
	answered := s.conn.pongs.Load() // before the arrivals: the reader counts a message before a later PINGRESP
	now := time.Now()
	s.state.mu.Lock()
	check, arrivals := s.drainCheck, s.arrivals
	if s.refusingInbound || len(s.unackedInbound) > s.ackedInbound {
		s.drainCheck = drainCheck{}
		s.state.mu.Unlock()
		return false
	}
	s.state.mu.Unlock()
	if !check.at.IsZero() && check.arrivals == arrivals {
		return answered >= check.ping && now.Sub(check.at) >= quiet
	}
	check = drainCheck{now, arrivals, s.sendPing()}
	s.state.mu.Lock()
	s.drainCheck = check
	s.state.mu.Unlock()
	return false
}
