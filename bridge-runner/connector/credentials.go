// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// checkInterval is the time between two checks of the credentials of the server in use.
const checkInterval = time.Second

// credentialsCheck finds out whether the credentials of the server in use have changed since the
// connection was opened. The zero value is ready for use with a new connection.
type credentialsCheck struct {
	// next is the time of the next check.
	next time.Time
	// seen is the fingerprint at the latest check, if it differs from the fingerprint of the
	// connection. Otherwise it is empty.
	seen string
	// unusable is the fingerprint of changed credentials that cannot be used, and problem
	// explains why. They are zero if there are none.
	unusable string
	problem  *diagnosis.Problem
}

// observe records the fingerprint at a check. It returns true if the credentials have changed and
// are to be tested. A change counts when the next check finds the same, because the files of a
// certificate and its key may change one after the other.
func (k *credentialsCheck) observe(connection, now string) (test bool) {
	before := k.seen
	if k.seen = now; now == connection {
		k.seen = ""
	}
	return k.seen != "" && k.seen == before && k.seen != k.unusable
}

// fingerprint returns the fingerprint of the credentials of a server, or the error that prevents
// reading them. It is empty if the server has no function for it.
func (s *Server) fingerprint() string {
	if s.Credentials == nil {
		return ""
	}
	out, err := s.Credentials()
	if err != nil {
		return "error: " + err.Error()
	}
	return out
}

// checksCredentials reports whether changed credentials cause a reconnection now.
func (c *Connector) checksCredentials() bool {
	return c.settings.ReconnectOnChange && c.servers[c.active].Credentials != nil && !c.draining() && !c.activeRemoved()
}

// credentialsChanged checks the credentials of the server in use, if a check is due. It returns
// true if they have changed and can be used.
func (c *Connector) credentialsChanged(s *session.Session, now time.Time) bool {
	k := &c.credentials
	if !c.checksCredentials() {
		c.reportUnusable(s, "", nil)
		return false
	}
	if now.Before(k.next) {
		return false
	}
	k.next = now.Add(checkInterval)
	server := &c.servers[c.active]
	connection, current := c.states[c.active].opened.credentials, server.fingerprint()
	test := k.observe(connection, current)
	if current == connection {
		c.reportUnusable(s, "", nil)
	}
	if !test {
		return false
	}
	if _, err := server.Config(); err != nil {
		c.reportUnusable(s, current, diagnosis.CredentialsUnusable(err))
		return false
	}
	return true
}

// reportUnusable reports that the credentials with this fingerprint cannot be used, or that there
// are no such credentials any more if problem is nil. A repeated report has no effect.
func (c *Connector) reportUnusable(s *session.Session, fingerprint string, problem *diagnosis.Problem) {
	k := &c.credentials
	if problem == nil && k.problem == nil {
		return
	}
	k.unusable, k.problem = fingerprint, problem
	if problem != nil {
		c.Log.Warn("changed credentials cannot be used", "server", c.servers[c.active].Name, "message", problem.Message)
	}
	c.Observer.ShortfallsFound(c.active, c.shortfalls(c.active, s))
}

// shortfalls returns the shortfalls of a session with a server that is in use, or about to be in use.
func (c *Connector) shortfalls(server int, s *session.Session) []diagnosis.Problem {
	all := diagnosis.Shortfalls(s.Shortfalls(c.settings.PublishQoS))
	state := c.states[server]
	for _, problem := range []*diagnosis.Problem{state.refused.problem, c.credentials.problem, state.refusal.problem} {
		if problem != nil {
			all = append(all, *problem)
		}
	}
	return all
}

// untilNextCheck shortens a wait while a session is in use, so that it ends at the next check of
// the credentials or of a transfer, or when refused filters are to be subscribed again. A wait of 0 has no
// limit.
func (c *Connector) untilNextCheck(wait time.Duration) time.Duration {
	if c.checksCredentials() {
		wait = shorter(wait, c.credentials.next)
	}
	if refused := &c.states[c.active].refused; refused.problem != nil && !c.draining() && !c.unsubscribing() {
		wait = shorter(wait, refused.retryAt)
	}
	if at := c.nextTransferCheck(); !at.IsZero() {
		wait = shorter(wait, at)
	}
	return wait
}

// shorter shortens a wait so that it ends at a time. A wait of 0 has no limit.
func shorter(wait time.Duration, until time.Time) time.Duration {
	left := max(time.Until(until), time.Millisecond)
	if wait == 0 {
		return left
	}
	return min(wait, left)
}
