// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// Pause stops sending to the destination s, and waits until s has acknowledged the
// messages in flight or the context ends. It returns how many messages were in flight,
// and how many are left. Messages that arrive meanwhile wait for [Pipe.Resume], or for
// the next destination.
func (p *Pipe) Pause(ctx context.Context, s *session.Session) (inflight, left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dest != s {
		return 0, 0
	}
	p.paused = true
	inflight = p.inflight
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.idle.Broadcast()
	})
	defer stop()
	for p.inflight > 0 && ctx.Err() == nil {
		p.idle.Wait()
	}
	return inflight, p.inflight
}

// Resume ends a pause of the destination s.
func (p *Pipe) Resume(s *session.Session) {
	p.mu.Lock()
	defer p.unlockAndFlush()
	if p.dest == s {
		p.paused = false
		p.pumpLocked()
		p.dequeueDoneLocked()
	}
}
