// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package link

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
func (l *Link) switchTo(ctx context.Context, old *session.Session, server int, why string) *session.Session {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.leaving.Go(func() {
		select {
		case <-l.draining:
			cancel()
		case <-ctx.Done():
		}
	})
	l.Alive.Begin(drainTimeout)
	l.awaitLeft(ctx, server)
	start := time.Now()
	inflight, left := l.drain(ctx, old)
	next, err := l.connect(ctx, server)
	if err != nil {
		l.Handler.Resume(old)
		if ctx.Err() == nil {
			l.stay(ctx, server, session.AsError(err))
		}
		return old
	}
	now := time.Now()
	how := Switch{Reason: why, Gap: now.Sub(start), Drained: inflight - left, Resent: left}
	l.Handler.Replace(old, next)
	l.leave(old)
	l.machine.Connected(server, why == v1alpha1.ReasonFailedBack, now)
	l.Log.Info("switched", "from", l.Servers[l.active].Name, "to", l.Servers[server].Name, "reason", why,
		"gap", how.Gap, "drained", how.Drained, "resent", how.Resent)
	l.active = server
	l.nowInUse(server)
	l.Observer.Switched(server, how, now)
	l.done(how)
	return next
}

// leave closes the session with the server in use.
func (l *Link) leave(s *session.Session) {
	ended := make(chan struct{})
	l.left[l.active] = ended
	l.leaving.Go(func() {
		defer close(ended)
		s.Close()
	})
}

// awaitLeft waits until the session that was left with a server has ended, which takes
// a second or two at most. Until then it has the state, and what the server still
// acknowledges by it must not count for another one.
func (l *Link) awaitLeft(ctx context.Context, server int) {
	if l.left[server] == nil {
		return
	}
	select {
	case <-l.left[server]:
	case <-ctx.Done():
	}
}

// drain holds messages back until what is in flight is acknowledged, the session is
// lost, or drainTimeout is over.
func (l *Link) drain(ctx context.Context, s *session.Session) (inflight, left int) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	l.leaving.Go(func() {
		select {
		case <-s.Done():
			cancel()
		case <-ctx.Done():
		}
	})
	return l.Handler.Pause(ctx, s)
}

// stay notes that the server that was to be used cannot be.
func (l *Link) stay(ctx context.Context, server int, reason *session.Error) {
	l.machine.Failed(server, reason.ForGood(), time.Now())
	l.logFailure(ctx, "switch failed", server, reason)
	l.Observer.Failed(server, reason, time.Now())
	l.refuse(server, "it could not be connected: "+reason.Message)
}

// renew connects to the server in use anew, so that it sends again the messages that were
// refused for lack of memory. The server is not lost meanwhile. It returns the session that
// is in use then.
func (l *Link) renew(ctx context.Context, old *session.Session) *session.Session {
	l.Alive.Begin(drainTimeout)
	l.drain(ctx, old)
	old.Close()
	next, err := l.connect(ctx, l.active)
	if err != nil {
		l.lost(old, session.AsError(err))
		return nil
	}
	l.Log.Debug("connected anew, for the messages that had no room in memory", "server", l.Servers[l.active].Name)
	l.Handler.Replace(old, next)
	return next
}
