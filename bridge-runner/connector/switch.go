// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// drainTimeout is how long a server that is to be left has to acknowledge what is in
// flight. What it does not is sent again to the other one.
const drainTimeout = 5 * time.Second

// switchTo leaves a session for one with another server: it holds messages back until
// what is in flight is acknowledged, connects, and only then leaves. By then nothing is
// in flight, so that servers that share sessions, and end the one where the other
// begins, neither lose nor repeat a message. It returns the session that is in use
// then.
func (c *Connector) switchTo(ctx context.Context, old *session.Session, server int, why string) *session.Session {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.leaving.Go(func() {
		select {
		case <-c.draining:
			cancel()
		case <-ctx.Done():
		}
	})
	c.Alive.Begin(drainTimeout)
	c.awaitLeft(ctx, server)
	start := time.Now()
	inflight, left := c.drain(ctx, old)
	next, err := c.connect(ctx, server)
	if err != nil {
		c.Handler.Resume(old)
		if ctx.Err() == nil {
			c.stay(ctx, server, session.AsError(err))
		}
		return old
	}
	now := time.Now()
	how := Switch{Reason: why, Gap: now.Sub(start), Drained: inflight - left, Resent: left}
	c.Handler.Replace(old, next)
	c.leave(old)
	c.machine.Connected(server, why == v1alpha1.ReasonFailedBack, now)
	c.Log.Info("switched", "from", c.Servers[c.active].Name, "to", c.Servers[server].Name, "reason", why,
		"gap", how.Gap, "drained", how.Drained, "resent", how.Resent)
	c.active = server
	c.nowInUse(server)
	c.Observer.Switched(server, how, now)
	c.done(how)
	return next
}

// leave closes the session with the server in use.
func (c *Connector) leave(s *session.Session) {
	ended := make(chan struct{})
	c.left[c.active] = ended
	c.leaving.Go(func() {
		defer close(ended)
		s.Close()
	})
}

// awaitLeft waits until the session that was left with a server has ended, which takes
// a second or two at most. Until then it has the state, and what the server still
// acknowledges by it must not count for another one.
func (c *Connector) awaitLeft(ctx context.Context, server int) {
	if c.left[server] == nil {
		return
	}
	select {
	case <-c.left[server]:
	case <-ctx.Done():
	}
}

// drain holds messages back until what is in flight is acknowledged, the session is
// lost, or drainTimeout is over.
func (c *Connector) drain(ctx context.Context, s *session.Session) (inflight, left int) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	c.leaving.Go(func() {
		select {
		case <-s.Done():
			cancel()
		case <-ctx.Done():
		}
	})
	return c.Handler.Pause(ctx, s)
}

// stay notes that the server that was to be used cannot be.
func (c *Connector) stay(ctx context.Context, server int, reason *session.Error) {
	c.machine.Failed(server, reason.ForGood(), time.Now())
	c.logFailure(ctx, "switch failed", server, reason)
	c.Observer.Failed(server, reason, time.Now())
	c.refuse(server, "it could not be connected: "+reason.Message)
}

// renew connects to the server in use anew, so that it sends again the messages that were
// refused for lack of memory. The server is not lost meanwhile. It returns the session that
// is in use then.
func (c *Connector) renew(ctx context.Context, old *session.Session) *session.Session {
	c.Alive.Begin(drainTimeout)
	c.drain(ctx, old)
	old.Close()
	next, err := c.connect(ctx, c.active)
	if err != nil {
		c.lost(old, session.AsError(err))
		return nil
	}
	c.Log.Debug("connected anew, for the messages that had no room in memory", "server", c.Servers[c.active].Name)
	c.Handler.Replace(old, next)
	return next
}
