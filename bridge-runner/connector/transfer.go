// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"slices"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// A changed client identifier begins another session on each server. On the server in use, the
// connector transfers the bridge to it without loss:
//
//	session of the earlier identifier     session of the new identifier
//	in use                                 connect, SUBSCRIBE, leave all messages at the server
//	UNSUBSCRIBE                            DISCONNECT: the server queues
//	deliver and acknowledge the rest
//	DISCONNECT                             connect: the server sends the queued messages
//	end the session                        in use
//
// Messages between SUBACK and UNSUBSCRIBE are in both sessions and arrive twice. A server that is not in use
// and may hold messages keeps the earlier identifier, and the transfer follows when the bridge is connected to
// it. A transfer continues after a loss of the connection.

const (
	// drainedAfter is how long the server must have been silent in the earlier session.
	drainedAfter = 100 * time.Millisecond
	// transferCheck is the time between two checks of that.
	transferCheck = drainedAfter / 2
	// maxUnsubscribeFailures is the number of connections on which the server may not answer UNSUBSCRIBE.
	maxUnsubscribeFailures = 3
)

// refusal is a refusal of a transfer by the server. problem is nil if there is none.
type refusal struct {
	problem *diagnosis.Problem
	// settings are tried again at retryAt, and other settings at once.
	settings *Settings
	retryAt  time.Time
}

// proceed replaces the session by next, or by a session of the wanted client identifier if there is no next.
func (s *serverState) proceed(wanted string) {
	next := newSession(wanted)
	if s.next != nil {
		next = *s.next
	}
	s.obsolete = s.clientID
	s.sessionKey, s.next, s.unsubscribeFailures, s.refusal = next, nil, 0, refusal{}
}

// unsubscribeFailed is called when an attempt has failed to change the subscriptions. A server that does not end
// the subscriptions of the earlier session must not stop the bridge.
func (c *Connector) unsubscribeFailed(server int) {
	state := c.states[server]
	if state.next == nil {
		return
	}
	state.unsubscribeFailures++
	if state.unsubscribeFailures == maxUnsubscribeFailures {
		c.Log.Warn("the server does not end the subscriptions of the earlier client identifier; the messages that it has queued there are not forwarded", "server", c.servers[server].Name, "clientID", state.clientID)
		state.proceed(c.settings.ClientID)
	}
}

// transferFollows reports whether the subscriptions of a resumed session of an earlier client identifier stay
// as they are until a transfer is tried: another process may have begun a transfer, and newer messages in this
// session would precede the messages in the next one.
func (s *serverState) transferFollows(resumed *session.Session, wanted string) bool {
	return resumed.Resumed() && s.clientID != wanted && s.subscribedFor == nil && s.refusal.settings == nil
}

// useClientID gives the client identifier of the settings to the servers that are not in use and hold no
// messages for another one, as far as this process knows.
func (c *Connector) useClientID() {
	for i, state := range c.states {
		if i != c.active && state.clientID != c.settings.ClientID && !state.mayHoldMessages() {
			used := state.subscribedFor != nil
			state.proceed(c.settings.ClientID)
			if !used {
				state.obsolete = ""
			}
		}
	}
	if c.active == noServer {
		c.Observer.ClientIDUsed(c.settings.ClientID)
	}
}

// mayRefuseClientID reports whether an attempt with an earlier client identifier has failed because of the
// identifier, as far as the error shows.
func (c *Connector) mayRefuseClientID(server int, err error) bool {
	return c.states[server].clientID != c.settings.ClientID && diagnosis.Of(err).Permanent()
}

// connectWithWanted is connectOnce without the earlier client identifier, which the server refuses.
func (c *Connector) connectWithWanted(ctx context.Context, server int) (*session.Session, error) {
	state := c.states[server]
	before := *state
	state.proceed(c.settings.ClientID)
	s, err := c.connectOnce(ctx, server)
	if err != nil {
		*state = before // the server refuses both
		return nil, err
	}
	c.Log.Warn("the server refuses the earlier client identifier; the messages that it may have queued there are not forwarded", "server", c.servers[server].Name, "clientID", before.clientID)
	return s, nil
}

// transferPending reports whether the session in use is to be replaced by the session of another client
// identifier.
func (c *Connector) transferPending() bool {
	if c.active == noServer || c.activeRemoved() {
		return false
	}
	state := c.states[c.active]
	return state.next != nil || state.clientID != c.settings.ClientID
}

// nextTransferCheck returns when transfer is to be called. It is zero if no transfer is pending.
func (c *Connector) nextTransferCheck() time.Time {
	state := c.states[c.active]
	switch {
	case c.draining() || !c.transferPending():
		return time.Time{}
	case state.next != nil:
		return time.Now().Add(transferCheck)
	case c.unsubscribing():
		return time.Time{}
	}
	return state.refusal.retryAt
}

// transfer takes the next step of a transfer on the server in use, if one is due. It returns the session
// that is in use afterwards, or nil if there is none, and whether a step was due.
func (c *Connector) transfer(ctx context.Context, s *session.Session) (next *session.Session, due bool) {
	state, r := c.states[c.active], &c.states[c.active].refusal
	switch {
	case c.draining() || c.activeRemoved() || isClosed(s.Done()):
	case state.next != nil:
		if s.Drained(drainedAfter) || state.refused.endRefused {
			return c.replaceSession(ctx, s), true
		}
	case c.unsubscribing() || state.obsolete != "":
	case !c.transferPending():
		if r.problem != nil { // the settings have changed back
			*r = refusal{}
			c.Observer.ShortfallsFound(c.active, c.shortfalls(c.active, s))
		}
	case r.settings != c.settings || !time.Now().Before(r.retryAt):
		return c.beginTransfer(ctx, s), true
	}
	return s, false
}

// beginTransfer subscribes the session of the new client identifier, and then unsubscribes the session in
// use. If the server refuses the new session, the session in use stays as it is.
func (c *Connector) beginTransfer(ctx context.Context, s *session.Session) *session.Session {
	state, key := c.states[c.active], newSession(c.settings.ClientID)
	trying, end := c.whileUsed(ctx, s)
	defer end()
	next, err := c.prepare(trying, key)
	switch {
	case err != nil:
		c.transferRefused(trying, s, err)
		return s
	case !next.Persistent(): // the server keeps no messages
		next.Close()
		return c.replaceSession(ctx, s)
	}
	c.Log.Info("the client identifier has changed; the bridge transfers to its session", "server", c.servers[c.active].Name, "earlier", state.clientID, "clientID", key.clientID)
	state.next = &key
	err = c.subscribe(ctx, s, c.active)
	next.Close()
	if err != nil {
		c.closeLost(ctx, s, err)
		return nil
	}
	return s
}

// whileUsed returns a context that ends when the session in use ends or the runner drains, and when the caller
// calls end.
func (c *Connector) whileUsed(ctx context.Context, s *session.Session) (using context.Context, end func()) {
	ctx, end = context.WithCancel(ctx)
	c.background.Go(func() {
		defer end()
		select {
		case <-c.drainStarted:
		case <-s.Done():
		case <-ctx.Done():
		}
	})
	return ctx, end
}

// prepare opens a session on the server in use and, if the server keeps it, subscribes to all filters. The
// server keeps the messages of QoS 1 and 2 that it sends on this connection. The session in use receives
// the messages of QoS 0.
func (c *Connector) prepare(ctx context.Context, key sessionKey) (*session.Session, error) {
	cfg, err := config(&c.servers[c.active])
	if err != nil {
		return nil, err
	}
	cfg.ClientID, cfg.State, cfg.Will, cfg.ConnectTimeout = key.clientID, key.session, nil, c.settings.ConnectTimeout
	s, err := c.open(ctx, cfg)
	if err != nil || !s.Persistent() {
		return s, err
	}
	s.Start(leaving{})
	c.Alive.Wait()
	defer c.Alive.Begin(0)
	err = s.SetSubscriptions(ctx, c.settings.Subscriptions(s.IdentifiesSubscriptions()))
	state := c.states[c.active]
	if err == nil || state.refused.same(err) {
		return s, nil
	}
	s.Close()
	if !s.Resumed() { // otherwise an earlier process may have left messages
		state.obsolete = key.clientID
	}
	return nil, err
}

// leaving is the handler of a session that leaves all messages at the server.
type leaving struct{}

func (leaving) Received(in *session.Inbound)                     { in.LeaveAtServer() }
func (leaving) Redelivered(*session.Inbound)                     {}
func (leaving) Acknowledged(*session.Outgoing, *session.Refusal) {}
func (leaving) Ready()                                           {}

// transferRefused records and reports that a transfer has failed, unless that has other reasons than the server.
func (c *Connector) transferRefused(trying context.Context, s *session.Session, err error) {
	state := c.states[c.active]
	before := state.refusal.problem
	if trying.Err() != nil || session.IsNotPermitted(err) {
		state.refusal = refusal{before, c.settings, time.Now().Add(permissionPause)}
		return
	}
	problem := diagnosis.ClientIDRefused(err, state.clientID, c.settings.ClientID)
	state.refusal = refusal{problem, c.settings, time.Now().Add(c.settings.Failover.RetryMax)}
	if before == nil || *before != *problem {
		c.Log.Warn("the client identifier cannot be changed yet", "server", c.servers[c.active].Name, "reason", problem.Reason, "message", problem.Message)
		c.Observer.ShortfallsFound(c.active, c.shortfalls(c.active, s))
	}
}

// replaceSession reconnects with the new client identifier. It returns the session that is in use afterwards,
// or nil if there is none.
func (c *Connector) replaceSession(ctx context.Context, old *session.Session) *session.Session {
	state := c.states[c.active]
	state.proceed(c.settings.ClientID)
	if !old.Persistent() {
		state.obsolete = "" // it ends with its connection
	}
	next := c.renew(ctx, old, causeClientID)
	if next != nil {
		c.markActive(c.active)
	}
	return next
}

// endDue reports whether the server in use has a session that the bridge does not need any more.
func (c *Connector) endDue(s *session.Session) bool {
	return c.states[c.active].obsolete != "" && !c.draining() && !c.unsubscribing() && !isClosed(s.Done())
}

// endObsolete ends the session of the server in use that the bridge does not need any more.
func (c *Connector) endObsolete(ctx context.Context, s *session.Session) {
	state := c.states[c.active]
	trying, end := c.whileUsed(ctx, s)
	defer end()
	c.Alive.Wait()
	defer c.Alive.Begin(0)
	err := endSession(trying, &c.servers[c.active], c.settings, state.obsolete, "")
	log := c.Log.With("server", c.servers[c.active].Name, "clientID", state.obsolete)
	switch {
	case err != nil && trying.Err() != nil:
		return // the next connection tries again
	case err != nil:
		why := diagnosis.Of(err)
		log.Warn("the session of an unused client identifier remains on the server; end it by hand", "reason", why.Reason, "message", why.Message)
	default:
		log.Info("the session of an unused client identifier has ended")
	}
	state.obsolete = ""
}

// clientIDs returns the client identifiers of the sessions that a server may hold.
func (c *Connector) clientIDs(server string, s *Settings) []string {
	out := []string{s.ClientID}
	for i, state := range c.states {
		if c.servers[i].Name != server {
			continue
		}
		out = append(out, state.clientID, state.obsolete)
		if state.next != nil {
			out = append(out, state.next.clientID)
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(id string) bool { return id == "" })
}
