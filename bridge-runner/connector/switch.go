// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"log/slog"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// drainTimeout is how long a server that is to be replaced may take to acknowledge the
// messages in flight. The others are resent to the next server.
const drainTimeout = 5 * time.Second

// switchTo replaces a session by a session with another server. It stops publishing,
// waits until the messages in flight are acknowledged, connects to the other server,
// and only then closes the old session. By then nothing is in flight. Therefore no
// message is lost or repeated, also if the servers share their sessions and end the old
// connection when the new one begins. It returns the session that is in use afterwards.
//
// The start of a drain, and a change of the settings that makes the switch useless, cancel it.
func (c *Connector) switchTo(ctx context.Context, old *session.Session, server int, why string) *session.Session {
	ctx, end := c.whileUseful(ctx, server)
	defer end()
	c.background.Go(func() {
		select {
		case <-c.drainStarted:
			end()
		case <-ctx.Done():
		}
	})
	c.Alive.Begin(drainTimeout)
	c.awaitClosed(ctx, server)
	start := time.Now()
	inflight, unacked := c.drain(ctx, old)
	next, err := c.connect(ctx, server)
	if err != nil {
		c.Handler.Resume(old)
		if ctx.Err() == nil {
			c.failed(ctx, "switch failed", server, diagnosis.Of(err))
		}
		return old
	}
	now := time.Now()
	how := Switch{Reason: why, Interruption: now.Sub(start), Drained: inflight - unacked, Resent: unacked}
	c.Handler.Replace(old, next)
	c.closeInBackground(old)
	answer := c.machine.Connected(server, why == v1alpha1.ReasonFailedBack, now)
	c.Log.Info("switched", "from", c.servers[c.active].Name, "to", c.servers[server].Name, "reason", why,
		"gap", how.Interruption, "drained", how.Drained, "resent", how.Resent)
	c.active = server
	c.markActive(server)
	c.Observer.Switched(server, how, now)
	c.reportRequest(answer, how.describe())
	c.dropRemoved()
	return next
}

// closeInBackground closes the session with the server in use.
func (c *Connector) closeInBackground(s *session.Session) {
	closed := make(chan struct{})
	c.states[c.active].closed = closed
	c.background.Go(func() {
		defer close(closed)
		s.Close()
	})
}

// closeInUse closes the session with the server in use, which no other session has replaced.
func (c *Connector) closeInUse(s *session.Session) {
	c.Handler.Closing(s)
	s.Close()
}

// awaitClosed waits until the replaced session with a server has ended, which takes one
// or two seconds at most. Until then that session uses the state of the server. The
// acknowledgements that still arrive on it must not count for the next session.
func (c *Connector) awaitClosed(ctx context.Context, server int) {
	closed := c.states[server].closed
	if closed == nil {
		return
	}
	select {
	case <-closed:
	case <-ctx.Done():
	}
}

// drain stops publishing to a session. It waits until the messages in flight are
// acknowledged, the session is lost, or drainTimeout has passed.
func (c *Connector) drain(ctx context.Context, s *session.Session) (inflight, unacked int) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	c.background.Go(func() {
		select {
		case <-s.Done():
			cancel()
		case <-ctx.Done():
		}
	})
	return c.Handler.Pause(ctx, s)
}

// Causes of a reconnection to the server in use, as the log shows them.
const (
	causeResend      = "the server resends the messages that did not fit in memory"
	causeClientID    = "the client identifier has changed"
	causeSettings    = "settings of the connection have changed"
	causePermission  = "it is certain that no other runner of the group is active"
	causeCredentials = "the credentials, the client certificate or the CA have changed"
)

// renew reconnects to the server in use. It stops publishing, and waits until the messages in
// flight are acknowledged, so that no message is lost or repeated. The server does not count as
// lost during that time. It returns the session that is in use afterwards, or nil if there is
// none.
func (c *Connector) renew(ctx context.Context, old *session.Session, cause string) *session.Session {
	c.Alive.Begin(drainTimeout)
	c.drain(ctx, old)
	c.closeInUse(old)
	next, err := c.connect(ctx, c.active)
	if err != nil && ctx.Err() != nil {
		c.Handler.Down(old)
		return nil
	}
	if err != nil {
		c.renewalFailed(old, diagnosis.Of(err))
		return nil
	}
	level := slog.LevelInfo
	if cause == causeResend { // it may repeat often
		level = slog.LevelDebug
	}
	c.Log.Log(ctx, level, "reconnected", "server", c.servers[c.active].Name, "cause", cause)
	c.Handler.Replace(old, next)
	if next.State() != old.State() { // the server refuses the earlier client identifier
		c.Observer.ClientIDUsed(c.states[c.active].clientID)
	}
	return next
}

// renewalFailed records and reports that the server in use is lost, because the connector could
// not reconnect to it. A server that refuses the bridge permanently, for example because of a new
// password, is not tried again at once.
func (c *Connector) renewalFailed(old *session.Session, why *diagnosis.Problem) {
	server := c.active
	c.lost(old, why)
	if why.Permanent() && server < len(c.servers) { // it was not removed
		c.machine.Failed(server, true, time.Now())
	}
}
