// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"math/rand/v2"
	"time"
)

// firstEnterPause is the pause after the first attempt of a process to enter itself. The pause doubles up
// to the interval of renewals.
const firstEnterPause = 200 * time.Millisecond

// enter enters this process into the list of the Lease. It repeats this until it succeeds.
func (s *store) enter() {
	if s.entering {
		return
	}
	s.entering = true
	go func() {
		pause := firstEnterPause
		for {
			_, err := s.client.Join(context.Background(), s.entry) // the client limits its time
			if err == nil {
				s.member.post(func() {
					s.entering = false
					s.report(0)
				})
				return
			}
			s.member.post(func() { s.logProblem(err) })
			select {
			case <-time.After(pause + rand.N(pause)): //nolint:gosec // spreads load, and protects nothing
			case <-s.member.done:
				return
			}
			pause = min(2*pause, s.member.role.Duration/3)
		}
	}()
}

// logProblem logs why the Lease cannot be written, if this differs from the problem before, or that it
// can be written again.
func (s *store) logProblem(err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	if problem == s.problem {
		return
	}
	s.problem = problem
	if err == nil {
		s.member.cfg.Log.Info("the Lease of the group can be written again")
		return
	}
	s.member.cfg.Log.Warn("the Lease of the group cannot be written; the members continue in their roles, and the runner tries again", "error", err)
}
