// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// Apply sets the settings. It must be called before Run and Request, and may be called again at
// any time: the latest settings are applied.
//
// The connection in use stays, with these exceptions. If it was opened with another
// Settings.Session, or with another Connection of the server, the connector reconnects: it stops
// publishing, waits for the acknowledgements, closes the connection, and connects. If the server
// in use is not in the list, the connector switches to the best other server. If that fails, it
// tries the next one, and the removed server stays in use until one of them is connected.
func (c *Connector) Apply(s Settings) { c.mailbox.apply(&s) }

// Settings returns the latest settings. They may not be in effect yet.
func (c *Connector) Settings() *Settings {
	s, _ := c.mailbox.latest()
	return s
}

// begin makes the parts that belong to the first settings.
func (c *Connector) begin() {
	c.mailbox.mu.Lock()
	c.settings = c.mailbox.first
	c.mailbox.mu.Unlock()
	c.servers, c.active = c.settings.Servers, noServer
	for range c.servers {
		c.states = append(c.states, newServerState())
	}
	c.useClientID()
	c.machine = failover.New(c.settings.policy(), rand.Float64)
	c.recall()
}

// applyChanges reads the mailbox, and applies settings and a request that have changed.
func (c *Connector) applyChanges() {
	c.Alive.Begin(0)
	settings, request := c.mailbox.latest()
	if settings != c.settings {
		c.applySettings(settings)
	}
	c.applySwitchRequest(request)
}

// applySettings applies changed settings, and the changed list of servers.
func (c *Connector) applySettings(next *Settings) {
	c.doubtRemoved(next)
	list := c.compare(next)
	c.forgetRequest(next, list.known)
	sameName := func(a, b Server) bool { return a.Name == b.Name }
	changed := !slices.Equal(list.kept, indexes(len(c.servers))) || !slices.EqualFunc(list.servers, c.servers, sameName)
	for _, state := range list.states {
		state.session.AllowServer() // the rules may have formed a loop before
	}
	c.settings, c.servers, c.states = next, list.servers, list.states
	if c.active != noServer {
		c.active = slices.Index(list.kept, c.active)
	}
	c.useClientID()
	now := time.Now()
	c.machine.Reconfigured(next.policy(), list.known, now)
	if !changed {
		return
	}
	c.Log.Info("the list of servers has changed", "servers", next.names())
	if c.activeRemoved() {
		c.Log.Info("the server in use was removed from the list; the bridge uses it until another server is connected", "server", c.servers[c.active].Name)
	}
	c.Observer.ServersChanged(c.servers, list.kept, now)
}

// doubtRemoved records that the servers that are not in use may have the subscriptions that the
// next settings do not have: an earlier process may have made them, or a server in use that shares
// its sessions with them. They are ended when the bridge returns to the server.
func (c *Connector) doubtRemoved(next *Settings) {
	wanted := next.Subscriptions(true)
	removed := slices.DeleteFunc(c.settings.Subscriptions(true), func(s session.Subscription) bool {
		return slices.ContainsFunc(wanted, func(w session.Subscription) bool { return w.Filter == s.Filter })
	})
	for i, state := range c.states {
		if i != c.active {
			state.session.DoubtSubscriptions(removed)
		}
	}
	for _, r := range c.removed {
		r.state.session.DoubtSubscriptions(removed)
	}
}

// reportInEffect calls InEffect of the settings, unless it was called before.
func (c *Connector) reportInEffect() {
	if c.inEffect == c.settings || c.transferPending() {
		return
	}
	c.inEffect = c.settings
	if c.settings.InEffect != nil {
		c.settings.InEffect()
	}
}

// changedList is a changed list of servers. The removed server in use is behind the servers of the
// settings.
type changedList struct {
	servers []Server
	states  []*serverState
	// kept has the previous index of each server, or noServer.
	kept []int
	// known is the same for the servers of the settings, except that it has noServer for a server
	// whose history means nothing for a connection with other settings.
	known []int
}

// compare compares the list of servers with the list of the next settings. It remembers the servers
// that are removed.
func (c *Connector) compare(next *Settings) changedList {
	list := changedList{servers: slices.Clone(next.Servers)}
	for i, old := range Previous(next.Servers, c.servers) {
		server := &next.Servers[i]
		known, state := old, (*serverState)(nil)
		switch {
		case old == noServer:
			state = c.removed.take(server)
		case old != c.active && server.Connection != c.servers[old].Connection:
			known, state = noServer, c.states[old].withoutHistory()
		default:
			state = c.states[old]
		}
		list.kept, list.known, list.states = append(list.kept, old), append(list.known, known), append(list.states, state)
	}
	if c.active != noServer && !slices.Contains(list.kept, c.active) {
		list.servers = append(list.servers, c.servers[c.active])
		list.kept, list.states = append(list.kept, c.active), append(list.states, c.states[c.active])
	}
	for i := range c.servers {
		if !slices.Contains(list.kept, i) {
			c.removed.add(c.servers[i], c.states[i])
		}
	}
	return list
}

// Previous returns the index that each server had in the list before, or -1 if it is new. A server
// that only has another name is not new.
func Previous(servers, before []Server) []int {
	out := make([]int, len(servers))
	for i := range servers {
		out[i] = slices.IndexFunc(before, servers[i].same)
	}
	for i := range servers {
		for j := range before {
			if out[i] == noServer && servers[i].renamed(&before[j]) && !slices.Contains(out, j) {
				out[i] = j
			}
		}
	}
	return out
}

// forgetRequest forgets a request if the machine forgets its server, or another server has its name
// now. If the mailbox still has the request, it begins again.
func (c *Connector) forgetRequest(next *Settings, known []int) {
	if c.request == nil {
		return
	}
	if i := next.index(c.request.Server); i == noServer || known[i] != c.settings.index(c.request.Server) {
		c.request = nil
		c.machine.Withdrawn(time.Now())
		c.Observer.Requested(nil)
	}
}

// activeRemoved reports whether the server in use was removed from the list.
func (c *Connector) activeRemoved() bool { return c.active == len(c.settings.Servers) }

// dropRemoved forgets the server that was removed from the list while it was in use, unless it is
// still in use.
func (c *Connector) dropRemoved() {
	n := len(c.settings.Servers)
	if len(c.servers) == n || c.activeRemoved() {
		return
	}
	c.removed.add(c.servers[n], c.states[n])
	c.servers, c.states = c.servers[:n], c.states[:n]
	c.Observer.ServersChanged(c.servers, indexes(n), time.Now())
}

// indexes returns the numbers from 0 to n-1.
func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// openedNow returns the settings with which a connection to a server would be opened now.
func (c *Connector) openedNow(server int) opened {
	s := &c.servers[server]
	return opened{session: c.settings.Session, connection: s.Connection, credentials: s.fingerprint()}
}

// reconnectCause returns why the connector must reconnect to the server in use, or an empty string.
func (c *Connector) reconnectCause(s *session.Session, now time.Time) string {
	if c.draining() || c.activeRemoved() {
		return ""
	}
	o := &c.states[c.active].opened
	switch {
	case o.session != c.settings.Session, o.connection != c.servers[c.active].Connection:
		return causeSettings
	case c.credentialsChanged(s, now):
		return causeCredentials
	}
	return ""
}

// subscriptionsDue reports whether the settings have changed since the session in use subscribed, or refused
// filters are to be subscribed again.
func (c *Connector) subscriptionsDue() bool {
	state := c.states[c.active]
	return !c.draining() && !c.unsubscribing() && (state.subscribedFor != c.settings || state.refused.due(time.Now()))
}

// updateSubscriptions changes the subscriptions on the server in use as the settings require. It
// returns the session, or nil if it was lost: a server that refuses all filters cannot be used with
// these settings.
func (c *Connector) updateSubscriptions(ctx context.Context, s *session.Session) *session.Session {
	if err := c.subscribe(ctx, s, c.active); err != nil {
		c.closeLost(ctx, s, err)
		return nil
	}
	c.Observer.ShortfallsFound(c.active, c.shortfalls(c.active, s))
	return s
}

// updateRemoved changes the subscriptions on the removed server in use after an attempt to leave it has
// failed. The attempt at the next server is due at once, and each may take long: the settings must not
// wait for all of them.
func (c *Connector) updateRemoved(ctx context.Context, s *session.Session) *session.Session {
	if c.subscriptionsDue() {
		s = c.updateSubscriptions(ctx, s)
	}
	if s != nil {
		c.reportInEffect()
	}
	return s
}

// closeLost closes the session in use after an error that makes it useless.
func (c *Connector) closeLost(ctx context.Context, s *session.Session, err error) {
	c.closeInUse(s)
	if ctx.Err() != nil {
		c.Handler.Down(s)
		return
	}
	c.lost(s, diagnosis.Of(err))
}
