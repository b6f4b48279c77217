// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"slices"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// EndSession ends the bridge's session on the server with this name, and deletes the retained
// message of topic there unless topic is empty. It returns why that failed, or nil. Run must have
// returned, and the latest settings must have the server.
func (c *Connector) EndSession(ctx context.Context, server, topic string) *diagnosis.Problem {
	s := c.Settings()
	cfg, err := config(&s.Servers[s.index(server)])
	if err != nil {
		return diagnosis.Of(err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.ProbeTimeout)
	defer cancel()
	if err := session.EndSession(ctx, cfg, topic); err != nil {
		return diagnosis.OfProbe(err)
	}
	return nil
}

// unsubscribing reports whether the bridge drains before its deletion.
func (c *Connector) unsubscribing() bool { return isClosed(c.Unsubscribing) }

// isClosed reports whether a channel on which nothing is sent is closed.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// unsubscribeDue returns a channel that receives when the connector must unsubscribe on s.
func (c *Connector) unsubscribeDue(s *session.Session) <-chan struct{} {
	if c.unsubscribed == s {
		return nil
	}
	return c.Unsubscribing
}

// unsubscribe removes the subscriptions from a session. A session that the server has not
// resumed and on which this process has not subscribed has none.
func (c *Connector) unsubscribe(ctx context.Context, s *session.Session, server int) error {
	c.unsubscribed = s
	if !s.Resumed() && !s.State().Subscribed() {
		return nil
	}
	c.Alive.Wait() // while the server sends; the watchdog watches the session itself
	defer c.Alive.Begin(0)
	var filters []string
	for _, sub := range c.settings.Subscriptions(false) {
		filters = append(filters, sub.Filter)
	}
	slices.Sort(filters)
	refused, err := s.Unsubscribe(ctx, slices.Compact(filters))
	if len(refused) > 0 {
		c.Log.Warn("the server refuses to end subscriptions, so that it continues to send messages; check the server's log", "server", c.servers[server].Name, "refused", refused)
	}
	return err
}

// unsubscribeActive removes the subscriptions on the server in use. It returns the session, or
// nil if it was lost.
func (c *Connector) unsubscribeActive(ctx context.Context, s *session.Session) *session.Session {
	if err := c.unsubscribe(ctx, s, c.active); err != nil {
		c.closeLost(ctx, s, err)
		return nil
	}
	c.Log.Info("unsubscribed, because the bridge is being deleted", "server", c.servers[c.active].Name)
	return s
}
