// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package connector keeps one side of a bridge connected. It carries out the
// decisions of the state machine in package failover.
//
// It promises:
//   - A side uses one session at a time.
//   - A session is handed to the [Handler] for publishing only after its subscriptions
//     are acknowledged.
//   - The connector keeps connecting until its context ends, however the servers behave.
//   - A server that has not failed is replaced, by a better server, on request or because it
//     was removed, only when the other server is connected and subscribed.
//   - Changed settings are applied while it runs. It closes the connection in use only if they
//     require that, and only after the messages in flight are acknowledged or drainTimeout has
//     passed.
//
// Each of the two sides of a bridge has a connector. Neither waits for the other.
package connector

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/watchdog"
)

// Handler uses the sessions of a side.
type Handler interface {
	// NewSession is the first call for a new session. It returns the handler of the session's
	// messages, which may arrive before Up. A session may end without a call of Up.
	NewSession(s *session.Session) session.Handler
	// Up is called when a session is ready: connected and subscribed.
	Up(s *session.Session)
	// Down is called when a session that was up has ended.
	Down(s *session.Session)
	// Pause stops publishing to the session that is up, and waits until all messages in
	// flight are acknowledged or the context ends. It returns the number of messages that
	// were in flight, and how many of them are still unacknowledged.
	Pause(ctx context.Context, s *session.Session) (inflight, unacked int)
	// Resume ends a pause. The session remains in use.
	Resume(s *session.Session)
	// Closing is called before the connector closes a session that is up, unless the session is
	// replaced first. Down or Replace follows.
	Closing(s *session.Session)
	// Replace is called when next is ready and replaces old, a session that is up. The
	// connector then closes old. It does not call Down for it.
	Replace(old, next *session.Session)
}

// Observer receives the state changes of a side's servers. Each time is the time at
// which the connector noticed the change. A server is given by its index in the list of
// [Settings.Servers], or in the list of the latest call of ServersChanged.
type Observer interface {
	// ServersChanged reports another list of servers, or other names. kept[i] is the index that server
	// i had before, or -1 if it is new. If the server in use was removed from the settings, it is the last
	// one, until it is no longer in use.
	ServersChanged(servers []Server, kept []int, at time.Time)
	// Connected reports that the server is in use after an attempt.
	Connected(server int, at time.Time)
	// Lost reports that the connection to the server in use is lost. silent is the time for
	// which the server had left the bridge without an answer, see [session.Session.Unanswered].
	Lost(server int, why *diagnosis.Problem, silent time.Duration, at time.Time)
	// Failed reports that an attempt to use the server failed.
	Failed(server int, why *diagnosis.Problem, at time.Time)
	// Probed reports the result of a probe of a server that is not in use. why is nil if
	// the server passed.
	Probed(server int, why *diagnosis.Problem, at time.Time)
	// Switched reports that the server is in use and has replaced another server that had
	// not failed.
	Switched(server int, how Switch, at time.Time)
	// ShortfallsFound reports the shortfalls of a server that is in use, or connected and about to
	// be in use. The list is empty if there are none.
	ShortfallsFound(server int, shortfalls []diagnosis.Problem)
	// ClientIDUsed reports the client identifier of the session in use.
	ClientIDUsed(clientID string)
	// Requested reports the state of the requested switch, or nil if no switch is
	// requested any more.
	Requested(r *v1alpha1.RequestedSwitch)
}

// Switch describes how one server replaced another server that had not failed.
type Switch struct {
	// Reason is FailedBack, SwitchRequested or ServerRemoved.
	Reason string
	// Interruption is the time during which no messages were published.
	Interruption time.Duration
	// Drained is the number of messages in flight that the old server acknowledged before
	// the switch. Resent is the number of those that it did not acknowledge.
	Drained, Resent int
}

// Connector keeps one side connected. Its exported fields must be set before Run, and
// Run may be called only once. The unexported fields belong to the goroutine of Run,
// except mailbox. The goroutines that Run starts use only the channels among them.
type Connector struct {
	// Unsubscribing is closed when the bridge drains before its deletion. From then on the
	// connector unsubscribes, also on each new connection, and does not subscribe. It may be nil.
	Unsubscribing <-chan struct{}
	// Handler uses the sessions.
	Handler Handler
	// Observer receives the state changes.
	Observer Observer
	// Log gets one line per state change.
	Log *slog.Logger
	// Alive shows whether Run makes progress. It may be nil.
	Alive *watchdog.Task
	// Recalled is the knowledge about the servers, by their names, of the process that this one
	// replaces. It may be nil.
	Recalled map[string]failover.Knowledge
	// Pacer limits the connections that the process opens at the same time. It may be nil.
	Pacer *Pacer
	// warming is held while Warm reports a result. The Observer's locks are taken while it is held.
	warming sync.Mutex

	// settings are the settings in effect.
	settings *Settings
	// inEffect are the latest settings whose InEffect was called.
	inEffect *Settings
	machine  *failover.Machine
	// servers are the servers of settings. If the server in use was removed, it follows them.
	servers []Server
	// states has the state of each server, in the order of servers.
	states []*serverState
	// removed are the servers that are no longer in servers.
	removed removedServers
	// active is the index of the server in use, or noServer.
	active       int
	probeResults chan probeResult
	// unsubscribed is the latest session on which the connector has unsubscribed, or nil.
	unsubscribed *session.Session
	// credentials finds changed credentials of the server in use.
	credentials credentialsCheck
	// drainStarted is closed when the runner drains before its end.
	drainStarted <-chan struct{}
	// probeSlot holds a token while a probe runs.
	probeSlot chan struct{}
	// background counts the goroutines that Run starts. Run returns after their end.
	background sync.WaitGroup

	// mailbox receives settings and requests from other goroutines.
	mailbox mailbox
	// request is the request that was last reported to the machine, or nil if none is left.
	request *Request
}

// Run connects until the context ends. It then closes the session with a DISCONNECT
// and returns. The runner closes drainStarted before that. From then on the connector
// starts no switch and cancels a switch that is under way, so that the messages that
// the bridge holds go to the server in use.
func (c *Connector) Run(ctx context.Context, drainStarted <-chan struct{}) {
	c.drainStarted = drainStarted
	c.warming.Lock()   // a report of Warm that has begun ends before the first report of Run
	c.warming.Unlock() //nolint:gocritic,staticcheck // the section is empty on purpose
	c.probeResults, c.probeSlot = make(chan probeResult), make(chan struct{}, 1)
	c.begin()
	defer c.Alive.Wait()
	defer c.background.Wait()
	for ctx.Err() == nil {
		c.applyChanges()
		c.reportInEffect()
		action := c.machine.Next(time.Now())
		if action.Connect < 0 {
			c.sleep(ctx, action.Wait)
			continue
		}
		if s := c.attemptAside(ctx, action.Connect); s != nil {
			c.use(ctx, action.Connect, s)
		}
	}
}

// noServer is used in place of a server's index.
const noServer = -1

// sleep waits for d, or until an event that may change the machine's next step.
func (c *Connector) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	c.Alive.Wait()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-c.mailbox.changed():
	case p := <-c.probeResults: // of a probe that began before the server was lost
		c.recordProbe(ctx, p)
	}
}

// use uses a session, and each session that replaces it, until a session is lost.
func (c *Connector) use(ctx context.Context, server int, s *session.Session) {
	c.active = server
	c.machine.Connected(server, false, time.Now())
	c.markActive(server)
	c.Log.Info("connected", "server", c.servers[server].Name, "url", c.servers[server].URL, "sessionPresent", s.Resumed())
	c.Observer.Connected(server, time.Now())
	c.Handler.Up(s)
	for s != nil {
		s = c.standby(ctx, s)
	}
}

// standby applies changed settings, probes the standby servers, switches if necessary, and
// waits for the next event. It returns the session that is in use afterwards, or nil if there
// is none.
func (c *Connector) standby(ctx context.Context, s *session.Session) *session.Session {
	c.Alive.Begin(0)
	if ctx.Err() != nil {
		c.closeInUse(s)
		c.Handler.Down(s)
		return nil
	}
	if c.draining() {
		c.machine.StopSwitching()
	}
	c.applyChanges()
	todo := c.machine.NextStandby(time.Now())
	if todo.Answer != failover.NoAnswer {
		c.reportRequest(todo.Answer, c.states[c.settings.index(c.request.Server)].probeFailure)
	}
	for _, server := range todo.Probe {
		c.startProbe(ctx, server)
	}
	if todo.Switch >= 0 {
		next := c.switchTo(ctx, s, todo.Switch, reasonOf(&todo))
		if next == s && c.activeRemoved() {
			return c.updateRemoved(ctx, s)
		}
		return next
	}
	if next, done := c.transfer(ctx, s); done {
		return next
	}
	if why := c.reconnectCause(s, time.Now()); why != "" {
		return c.renew(ctx, s, why)
	}
	if c.subscriptionsDue() {
		return c.updateSubscriptions(ctx, s)
	}
	c.reportInEffect()
	if c.endDue(s) {
		c.endObsolete(ctx, s)
		return s
	}
	return c.awaitEvent(ctx, s, c.untilNextCheck(todo.Wait))
}

// reasonOf returns the reason of a switch.
func reasonOf(todo *failover.Standby) string {
	switch {
	case todo.Requested:
		return v1alpha1.ReasonSwitchRequested
	case todo.Removed:
		return v1alpha1.ReasonServerRemoved
	}
	return v1alpha1.ReasonFailedBack
}

// awaitEvent waits for the next event while a session is in use, for at most wait, or without
// limit if wait is 0. It returns the session that is in use afterwards, or nil if there is none.
func (c *Connector) awaitEvent(ctx context.Context, s *session.Session, wait time.Duration) *session.Session {
	var timer <-chan time.Time
	if wait > 0 {
		timer = time.After(wait)
	}
	c.Alive.Wait()
	select {
	case <-s.Done():
		if session.IsNotPermitted(s.Err()) {
			return c.renew(ctx, s, causePermission)
		}
		c.lost(s, diagnosis.Of(s.Err()))
		return nil
	case <-s.ReconnectRequested():
		return c.renew(ctx, s, causeResend)
	case <-c.unsubscribeDue(s):
		return c.unsubscribeActive(ctx, s)
	case <-ctx.Done():
	case p := <-c.probeResults:
		c.recordProbe(ctx, p)
	case <-c.mailbox.changed():
	case <-timer:
	}
	return s
}

// draining reports whether the runner drains before its end. The connector then keeps
// the server in use.
func (c *Connector) draining() bool { return isClosed(c.drainStarted) }

// markActive clears the failure of the server that is now in use. It marks every other
// server on which the bridge has subscribed as stale.
func (c *Connector) markActive(server int) {
	c.states[server].failure = ""
	c.Observer.ClientIDUsed(c.states[server].clientID)
	for i, state := range c.states {
		state.stale = i != server && (state.stale || state.mayHoldMessages())
	}
}

// lost records and reports that the server in use is lost.
func (c *Connector) lost(s *session.Session, why *diagnosis.Problem) {
	c.Alive.Begin(0)
	now := time.Now()
	c.machine.Lost(c.active, now)
	c.Observer.Lost(c.active, why, s.Unanswered(now), now)
	c.Handler.Down(s)
	c.Log.Warn("connection lost", "server", c.servers[c.active].Name, "reason", why.Reason, "message", why.Message)
	c.active = noServer
	c.dropRemoved()
}
