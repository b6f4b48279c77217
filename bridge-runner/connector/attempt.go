// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
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
// returns nil. It also returns nil if the settings have changed so that the attempt is useless.
func (c *Connector) attempt(ctx context.Context, server int) *session.Session {
	trying, end := c.whileUseful(ctx, server)
	defer end()
	s, err := c.connect(trying, server)
	switch {
	case err == nil:
		return s
	case ctx.Err() != nil:
	case trying.Err() != nil:
		c.machine.Cancelled(server)
	default:
		c.failed(ctx, "connection failed", server, diagnosis.Of(err))
	}
	return nil
}

// whileUseful returns a context for an attempt. It ends when a change of the settings makes the
// attempt useless, and when the caller calls end.
func (c *Connector) whileUseful(ctx context.Context, server int) (trying context.Context, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	return ctx, c.mailbox.begin(&attempt{server: c.servers[server], session: c.settings.Session, cancel: cancel})
}

// failed records and reports that an attempt to use a server failed.
func (c *Connector) failed(ctx context.Context, what string, server int, why *diagnosis.Problem) {
	answer := c.machine.Failed(server, why.Permanent(), time.Now())
	c.logFailure(ctx, what, server, why)
	c.Observer.Failed(server, why, time.Now())
	c.reportRequest(answer, why.Message)
}

// permissionPause is the pause before the next attempt if the gate has ended an attempt.
const permissionPause = 5 * time.Millisecond

// connect is connectOnce, but while another process may be active, it waits: that is no failure of the
// server.
func (c *Connector) connect(ctx context.Context, server int) (*session.Session, error) {
	for {
		s, err := c.connectOnce(ctx, server)
		if err != nil && ctx.Err() == nil && c.mayRefuseClientID(server, err) {
			s, err = c.connectWithWanted(ctx, server)
		}
		if !session.IsNotPermitted(err) || ctx.Err() != nil {
			return s, err
		}
		select {
		case <-time.After(permissionPause):
		case <-ctx.Done():
		}
	}
}

// connectOnce opens a session within ConnectTimeout, and subscribes. Subscribing fails when
// the server has been silent for ConnectTimeout. It may take longer in all, because
// messages may arrive before the answers.
func (c *Connector) connectOnce(ctx context.Context, server int) (*session.Session, error) {
	opened := c.openedNow(server) // before the credentials are read, so that a later change is found
	cfg, err := config(&c.servers[server])
	if err != nil {
		return nil, err
	}
	c.Alive.Begin(0)
	c.awaitClosed(ctx, server)
	state := c.states[server]
	cfg.Discard = c.settings.DiscardStale && state.stale
	if cfg.Discard && state.next != nil {
		state.proceed(c.settings.ClientID)
	}
	cfg.ClientID, cfg.State = state.clientID, state.session
	cfg.ConnectTimeout = c.settings.ConnectTimeout
	s, err := c.open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.Start(c.Handler.NewSession(s))
	if err := c.subscribe(ctx, s, server); err != nil {
		s.Close() // sends the acknowledgements of the messages handed on meanwhile
		if ctx.Err() == nil {
			c.unsubscribeFailed(server)
		}
		return nil, err
	}
	for _, remark := range diagnosis.Remarks(s.Remarks()) {
		c.Log.Info("the server accepted the connection; the remark describes a limitation or a fault in its answer", "server", c.servers[server].Name, "remark", remark)
	}
	state.opened, c.credentials = opened, credentialsCheck{}
	c.Observer.ShortfallsFound(server, c.shortfalls(server, s))
	return s, nil
}

// subscribe makes the subscriptions that the session does not have, and ends those that are not
// wanted any more. If the bridge drains before its deletion, or the session is replaced by the session of
// another client identifier, it unsubscribes instead.
func (c *Connector) subscribe(ctx context.Context, s *session.Session, server int) error {
	state := c.states[server]
	if !c.unsubscribing() && state.transferFollows(s, c.settings.ClientID) {
		return nil
	}
	state.subscribedFor = c.settings
	if c.unsubscribing() || state.next != nil {
		return c.unsubscribe(ctx, s, server)
	}
	return c.setSubscriptions(ctx, s, server, c.settings.Subscriptions(s.IdentifiesSubscriptions()))
}

// setSubscriptions makes the subscriptions of the session equal to wanted. If the server refuses some of
// them, or refuses to end some, the session remains in use.
func (c *Connector) setSubscriptions(ctx context.Context, s *session.Session, server int, wanted []session.Subscription) error {
	c.Alive.Wait() // while the server sends; the watchdog watches the session itself
	defer c.Alive.Begin(0)
	return c.subscriptionsResult(server, wanted, s.SetSubscriptions(ctx, wanted))
}

// open opens a session within ConnectTimeout, when the Pacer lets it begin.
func (c *Connector) open(ctx context.Context, cfg session.Config) (*session.Session, error) {
	c.Alive.Wait()
	opened, err := c.Pacer.begin(ctx, firstHop(&cfg))
	if err != nil {
		return nil, err
	}
	defer opened()
	c.Alive.Begin(attemptAllowance * c.settings.ConnectTimeout)
	ctx, cancel := context.WithTimeout(ctx, c.settings.ConnectTimeout)
	defer cancel()
	return session.Open(ctx, cfg)
}

func config(server *Server) (session.Config, error) {
	cfg, err := server.Config()
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
	c.Log.Log(ctx, level, what, "server", c.servers[server].Name, "url", c.servers[server].URL, "reason", why.Reason, "message", why.Message)
}
