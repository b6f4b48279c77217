// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"sync"
)

// Gate decides whether the sessions of a bridge may write. A bridge has one if another process may
// forward its messages. A nil Gate is always open, and needs no time. A new Gate is closed.
type Gate struct {
	// Permit waits until a CONNECT packet may be written. It returns an error if the context ends
	// before.
	Permit func(ctx context.Context) error
	// Frozen reports whether the process may have been frozen and has not noticed it yet. Sessions end
	// instead of writing then.
	Frozen func() bool

	// mu guards the fields below. No other lock is taken while it is held.
	mu   sync.Mutex
	open bool
	// sessions are the sessions whose CONNECT may be written and that have not ended.
	sessions map[*Session]bool
}

// Open permits new sessions.
func (g *Gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = true
}

// Close ends all sessions, with the error [NotPermitted]. When it returns, nothing is written until the
// next call of Open.
func (g *Gate) Close() {
	g.mu.Lock()
	sessions := g.sessions
	g.open, g.sessions = false, nil
	g.mu.Unlock()
	for s := range sessions {
		s.end(errNotPermitted(), Ending{})
	}
}

func errNotPermitted() error { return &Error{Kind: NotPermitted} }

// enter waits for the permission to write the CONNECT of a session, and registers the session.
func (g *Gate) enter(ctx context.Context, s *Session) error {
	if g == nil {
		return nil
	}
	if err := g.Permit(ctx); err != nil {
		return errNotPermitted()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open {
		return errNotPermitted()
	}
	if g.sessions == nil {
		g.sessions = map[*Session]bool{}
	}
	g.sessions[s] = true
	return nil
}

// leave removes a session that has ended.
func (g *Gate) leave(s *Session) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sessions, s)
}

// blocks reports whether nothing may be written because the process was frozen.
func (g *Gate) blocks() bool { return g != nil && g.Frozen() }
