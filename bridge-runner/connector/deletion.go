// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// EndSession ends the bridge's sessions on the server with this name, and deletes the retained
// message of topic there unless topic is empty. It returns why that failed, or nil. Run must have
// returned, and the latest settings must have the server.
func (c *Connector) EndSession(ctx context.Context, server, topic string) *diagnosis.Problem {
	s := c.Settings()
	for _, clientID := range c.clientIDs(server, s) {
		if err := endSession(ctx, &s.Servers[s.index(server)], s, clientID, topic); err != nil {
			return diagnosis.OfProbe(err)
		}
	}
	return nil
}

// endSession ends the session of a client identifier, see session.EndSession.
func endSession(ctx context.Context, server *Server, s *Settings, clientID, topic string) error {
	cfg, err := config(server)
	if err != nil {
		return err
	}
	cfg.ClientID = clientID
	ctx, cancel := context.WithTimeout(ctx, s.ProbeTimeout)
	defer cancel()
	return session.EndSession(ctx, cfg, topic)
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

// unsubscribe ends the subscriptions of a session. In a session that the server resumes, an
// earlier process may have made them, or the server may not have stored that they have ended.
func (c *Connector) unsubscribe(ctx context.Context, s *session.Session, server int) error {
	c.unsubscribed = s
	if s.Resumed() {
		s.State().DoubtSubscriptions(c.settings.Subscriptions(true)) // all filters, also those that others cover
	}
	return c.setSubscriptions(ctx, s, server, nil)
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
