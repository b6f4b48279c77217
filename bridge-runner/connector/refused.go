// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"errors"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// refusedFilters are filters that a server refuses, while it grants others. The server stays in use, because
// one filter must not stop the messages of the others, and all servers of a side often have the same access
// rules. The connector subscribes to the refused filters again after retry.maxSeconds, and when the settings
// change.
type refusedFilters struct {
	// problem is nil if the server refuses none.
	problem *diagnosis.Problem
	retryAt time.Time
	// endRefused is true if the server refuses to end subscriptions.
	endRefused bool
}

// subscriptionsResult records the result of changing the subscriptions of a session to wanted. It returns nil
// if the session can be used.
func (c *Connector) subscriptionsResult(server int, wanted []session.Subscription, err error) error {
	state := c.states[server]
	before := state.refused.problem
	state.refused = refusedFilters{}
	var failed *session.Error
	if !errors.As(err, &failed) {
		return err
	}
	switch {
	case failed.Kind == session.UnsubscriptionsRefused: // the messages that still arrive are dropped
		state.refused.endRefused = true
		c.Log.Warn("the server continues to send messages that the bridge does not need", "server", c.servers[server].Name, "message", diagnosis.Of(err).Message)
		return nil
	case failed.Kind == session.SubscriptionsRefused && len(failed.Refused) < len(wanted):
		problem := diagnosis.SomeSubscriptionsRefused(failed)
		state.refused = refusedFilters{problem: problem, retryAt: time.Now().Add(c.settings.Failover.RetryMax)}
		if before == nil || *before != *problem {
			c.Log.Warn("the server refuses some subscriptions", "server", c.servers[server].Name, "message", problem.Message)
		}
		return nil
	}
	return err
}

// same reports whether an error only says that the server refuses these filters.
func (r *refusedFilters) same(err error) bool {
	var failed *session.Error
	return r.problem != nil && errors.As(err, &failed) && failed.Kind == session.SubscriptionsRefused && *r.problem == *diagnosis.SomeSubscriptionsRefused(failed)
}

// due reports whether the refused filters are to be subscribed again.
func (r *refusedFilters) due(now time.Time) bool {
	return r.problem != nil && !now.Before(r.retryAt)
}
