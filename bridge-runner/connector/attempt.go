// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// attemptAllowance is the watchdog's allowance for an attempt, in multiples of
// ConnectTimeout. An attempt may connect more than once: to discard a stale session,
// and to try the bridge flag.
const attemptAllowance = 4

// attemptAside calls attempt in a goroutine of its own, and waits for its end. An attempt needs
// much stack, which the goroutine of Run would keep while a session is in use: a process may have
// thousands of these goroutines.
func (c *Connector) attemptAside(ctx context.Context, server int) *session.Session {
	out := make(chan *session.Session, 1)
	go func() { out <- c.attempt(ctx, server) }()
	return <-out
}

// attempt opens a session. If that fails, it records and reports the failure and
// returns nil.
func (c *Connector) attempt(ctx context.Context, server int) *session.Session {
	s, err := c.connect(ctx, server)
	if err == nil {
		return s
	}
	if ctx.Err() == nil {
		c.failed(ctx, "connection failed", server, diagnosis.Of(err))
	}
	return nil
}

// failed records and reports that an attempt to use a server failed.
func (c *Connector) failed(ctx context.Context, what string, server int, why *diagnosis.Problem) {
	answer := c.machine.Failed(server, why.Permanent(), time.Now())
	c.logFailure(ctx, what, server, why)
	c.Observer.Failed(server, why, time.Now())
	c.reportRequest(answer, why.Message)
}

// connect opens a session within ConnectTimeout, and subscribes. Subscribing fails when
// the server has been silent for ConnectTimeout. It may take longer in all, because
// messages may arrive before the answers.
func (c *Connector) connect(ctx context.Context, server int) (*session.Session, error) {
	cfg, err := c.config(server)
	if err != nil {
		return nil, err
	}
	c.Alive.Begin(attemptAllowance * c.ConnectTimeout)
	c.awaitClosed(ctx, server)
	cfg.State = c.states[server].session
	cfg.Discard = c.DiscardStale && c.states[server].stale
	cfg.ConnectTimeout = c.ConnectTimeout
	s, err := c.open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.Start(c.Handler.NewSession(s))
	if err := c.subscribe(ctx, s, server); err != nil {
		s.Close() // sends the acknowledgements of the messages handed on meanwhile
		return nil, err
	}
	for _, remark := range diagnosis.Remarks(s.Remarks()) {
		c.Log.Info("the server accepted the connection; the remark describes a limitation or a fault in its answer", "server", c.Servers[server].Name, "remark", remark)
	}
	c.Observer.ShortfallsFound(server, diagnosis.Shortfalls(s.Shortfalls()))
	return s, nil
}

// subscribe makes the subscriptions on a new connection that the session does not have, and ends
// those that are not wanted any more. If the bridge drains before its deletion, it unsubscribes
// instead.
func (c *Connector) subscribe(ctx context.Context, s *session.Session, server int) error {
	if c.unsubscribing() {
		return c.unsubscribe(ctx, s, server)
	}
	return c.setSubscriptions(ctx, s, server, c.Subscriptions(s.IdentifiesSubscriptions()))
}

// setSubscriptions makes the subscriptions of the session equal to wanted. If the server refuses to
// end some, the session remains in use: the messages that still arrive for them are dropped.
func (c *Connector) setSubscriptions(ctx context.Context, s *session.Session, server int, wanted []session.Subscription) error {
	c.Alive.Wait() // while the server sends; the watchdog watches the session itself
	defer c.Alive.Begin(0)
	err := s.SetSubscriptions(ctx, wanted)
	var failed *session.Error
	if errors.As(err, &failed) && failed.Kind == session.UnsubscriptionsRefused {
		c.Log.Warn("the server continues to send messages that the bridge does not need", "server", c.Servers[server].Name, "message", diagnosis.Of(err).Message)
		return nil
	}
	return err
}

func (c *Connector) open(ctx context.Context, cfg session.Config) (*session.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
	defer cancel()
	return session.Open(ctx, cfg)
}

func (c *Connector) config(server int) (session.Config, error) {
	cfg, err := c.Servers[server].Config()
	if err != nil {
		return cfg, diagnosis.ReferenceMissing(err)
	}
	return cfg, nil
}

// logFailure logs a server's failure: as a warning, or at debug level if the server's
// previous failure had the same message.
func (c *Connector) logFailure(ctx context.Context, what string, server int, why *diagnosis.Problem) {
	level := slog.LevelWarn
	if c.states[server].failure == why.Message {
		level = slog.LevelDebug
	}
	c.states[server].failure = why.Message
	c.Log.Log(ctx, level, what, "server", c.Servers[server].Name, "url", c.Servers[server].URL, "reason", why.Reason, "message", why.Message)
}
