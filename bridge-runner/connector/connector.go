// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package connector keeps one side of a bridge connected: it does what the state
// machine of package failover decides.
//
// It promises that a side uses one session at a time, that a session is handed on
// only after its subscriptions are acknowledged, and that it goes on until it is
// told to stop, whatever the servers do. A server that has not failed is left, for
// a better one or on request, only when the other one is connected and subscribed.
// The two sides of a bridge have a connector each, and neither waits for the other.
package connector

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/watchdog"
)

// Server is one server of a side.
type Server struct {
	// Name and URL identify the server in logs, and the name in requests. The URL is
	// in its public form.
	Name, URL string
	// Config returns how to connect now. It is called at each attempt, so that
	// changed credentials are used. Its errors are those of missing references.
	Config func() (session.Config, error)
}

// Handler uses the sessions of a side.
type Handler interface {
	// Use is called first with a new session, and returns what handles its messages
	// from then on, also before Up. It may end without being up.
	Use(s *session.Session) session.Handler
	// Up is called when a session is ready: connected and subscribed.
	Up(s *session.Session)
	// Down is called when a session that was up has ended.
	Down(s *session.Session)
	// Pause has nothing more sent to the session that is up, and waits until what is in
	// flight is acknowledged, but not longer than the context. It returns how many
	// messages were in flight, and how many of them are left.
	Pause(ctx context.Context, s *session.Session) (inflight, left int)
	// Resume ends a pause: the session stays.
	Resume(s *session.Session)
	// Replace is called when next is ready and takes the place of a session that is up,
	// and that is closed then. Down is not called for it.
	Replace(old, next *session.Session)
}

// Observer is told what becomes of a side's servers. Times are those at which it
// was noticed.
type Observer interface {
	// Connected: the server is in use.
	Connected(server int, at time.Time)
	// Lost: the server was in use and is no more.
	Lost(server int, err *session.Error, at time.Time)
	// Failed: an attempt to use the server failed.
	Failed(server int, err *session.Error, at time.Time)
	// Probed: a server that is not in use has passed a probe, or failed it.
	Probed(server int, err *session.Error, at time.Time)
	// Switched: the server is in use, and the one before it was left.
	Switched(server int, how Switch, at time.Time)
	// FellShort: a server that is about to be in use was connected, and what it does not
	// do as it was asked to; nothing if it does all.
	FellShort(server int, shortfalls []session.Shortfall)
	// Requested: what becomes of a request, or nil where there is none any more.
	Requested(r *v1alpha1.RequestedSwitch)
}

// Switch is how a server was left for another one that had not failed.
type Switch struct {
	// Reason is FailedBack or SwitchRequested.
	Reason string
	// Gap is for how long no server took messages.
	Gap time.Duration
	// Drained messages were in flight and acknowledged before the server was left,
	// Resent ones were not.
	Drained, Resent int
}

// Connector keeps one side connected.
type Connector struct {
	// Servers are in order of preference.
	Servers []Server
	// Subscriptions returns those to make on a server. identified says whether it has
	// subscription identifiers.
	Subscriptions func(identified bool) []session.Subscription
	// ConnectTimeout bounds an attempt until CONNACK, and from then on the time for which
	// the server is silent until it has answered SUBSCRIBE.
	ConnectTimeout time.Duration
	// Policy says in which order and when servers are tried. Its Servers is not used.
	Policy failover.Config
	// ProbeTimeout bounds a probe, ProbeClientID is its client identifier.
	ProbeTimeout  time.Duration
	ProbeClientID string
	// DiscardStale has a server to which the bridge comes back from another one drop
	// what it has queued.
	DiscardStale bool
	// Handler uses the sessions.
	Handler Handler
	// Observer is told of transitions.
	Observer Observer
	// Log gets a line per transition.
	Log *slog.Logger
	// Alive says whether Run makes progress. It may be nil.
	Alive *watchdog.Task

	machine *failover.Machine
	// states are what is known of the session with each server.
	states []*session.State
	// stale are the servers that were in use, and another one after them.
	stale []bool
	// failing holds the latest failure of each server, to log changes only.
	failing  map[int]string
	active   int // the server in use, or of late
	probes   chan probed
	draining <-chan struct{}
	probing  []bool         // the servers of which a probe is under way
	prober   chan struct{}  // held by the probe that is being made
	leaving  sync.WaitGroup // sessions that are being closed, and probes
	// left are closed when the session that was left with each server has ended. nil:
	// there is none.
	left []chan struct{}

	asked  asked
	wanted *wanted // what was asked for
}

// Run connects until the context ends. It then closes the session with a
// DISCONNECT and returns. When draining is closed before, no server is left for another
// one any more, and a switch that is being made is given up, so that what is held goes
// to the server in use.
func (c *Connector) Run(ctx context.Context, draining <-chan struct{}) {
	c.draining = draining
	c.failing = map[int]string{}
	c.stale = make([]bool, len(c.Servers))
	c.left = make([]chan struct{}, len(c.Servers))
	for range c.Servers {
		c.states = append(c.states, session.NewState())
	}
	c.active, c.probes = none, make(chan probed)
	c.probing, c.prober = make([]bool, len(c.Servers)), make(chan struct{}, 1)
	policy := c.Policy
	policy.Servers = len(c.Servers)
	c.machine = failover.New(policy, rand.Float64)
	defer c.Alive.Wait()
	defer c.leaving.Wait()
	for ctx.Err() == nil {
		c.Alive.Begin(0)
		c.heed()
		action := c.machine.Next(time.Now())
		if action.Connect < 0 {
			c.sleep(ctx, action.Wait)
			continue
		}
		if s := c.try(ctx, action.Connect); s != nil {
			c.use(ctx, action.Connect, s)
		}
	}
}

// connects is how many times ConnectTimeout an attempt may take: the session is discarded
// first, and the bridge bit is tried.
const connects = 4

// none is the place of no server.
const none = -1

// sleep waits, or until something is asked for.
func (c *Connector) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		c.Alive.Wait()
		select {
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		case <-c.asked.changed():
			c.heed()
			return // to what is wanted now
		case p := <-c.probes: // of before the server was lost
			c.probed(ctx, p)
		}
	}
}

// use uses a session, and those that take its place, until one is lost.
func (c *Connector) use(ctx context.Context, server int, s *session.Session) {
	c.active = server
	c.machine.Connected(server, false, time.Now())
	c.nowInUse(server)
	c.Log.Info("connected", "server", c.Servers[server].Name, "url", c.Servers[server].URL, "sessionPresent", s.Resumed())
	c.Observer.Connected(server, time.Now())
	c.Handler.Up(s)
	for s != nil {
		s = c.standby(ctx, s)
	}
}

// standby looks after the servers that are not in use until something happens. It
// returns the session that is in use then, nil for none.
func (c *Connector) standby(ctx context.Context, s *session.Session) *session.Session {
	c.Alive.Begin(0)
	if ctx.Err() != nil {
		s.Close()
		c.Handler.Down(s)
		return nil
	}
	stays := c.stays()
	if !stays {
		if next, reason := c.pursue(ctx); next != none {
			return c.switchTo(ctx, s, next, reason)
		}
	}
	todo := c.machine.Standby(time.Now())
	for _, server := range todo.Probe {
		c.probe(ctx, server)
	}
	if todo.Switch >= 0 && !stays {
		return c.switchTo(ctx, s, todo.Switch, v1alpha1.ReasonFailedBack)
	}
	var timer <-chan time.Time
	if todo.Wait > 0 {
		timer = time.After(todo.Wait)
	}
	c.Alive.Wait()
	select {
	case <-s.Done():
		c.lost(s, session.AsError(s.Err()))
		return nil
	case <-s.Renewal():
		return c.renew(ctx, s)
	case <-ctx.Done():
	case p := <-c.probes:
		c.probed(ctx, p)
	case <-c.asked.changed():
		c.heed()
	case <-timer:
	}
	return s
}

// stays reports whether the server in use is left for no other one any more.
func (c *Connector) stays() bool {
	select {
	case <-c.draining:
		return true
	default:
		return false
	}
}

// nowInUse notes which servers have been left for another.
func (c *Connector) nowInUse(server int) {
	delete(c.failing, server)
	for i, state := range c.states {
		c.stale[i] = i != server && (c.stale[i] || state.Subscribed())
	}
}

// lost notes that the server in use is lost.
func (c *Connector) lost(s *session.Session, reason *session.Error) {
	c.Alive.Begin(0)
	now := time.Now()
	c.machine.Lost(c.active, now)
	c.Observer.Lost(c.active, reason, now)
	c.Handler.Down(s)
	c.Log.Warn("connection lost", "server", c.Servers[c.active].Name, "reason", reason.Reason, "message", reason.Message)
	c.active = none
}

// try opens a session, or notes why it could not.
func (c *Connector) try(ctx context.Context, server int) *session.Session {
	s, err := c.connect(ctx, server)
	if err == nil {
		return s
	}
	if ctx.Err() == nil {
		reason := session.AsError(err)
		c.machine.Failed(server, reason.ForGood(), time.Now())
		c.logFailure(ctx, "connection failed", server, reason)
		c.Observer.Failed(server, reason, time.Now())
	}
	return nil
}

// connect opens a session within ConnectTimeout, and subscribes: until the server is
// silent for ConnectTimeout, because messages may come before its answers.
func (c *Connector) connect(ctx context.Context, server int) (*session.Session, error) {
	cfg, err := c.config(server)
	if err != nil {
		return nil, err
	}
	c.Alive.Begin(connects * c.ConnectTimeout)
	c.awaitLeft(ctx, server)
	cfg.State = c.states[server]
	cfg.Discard = c.DiscardStale && c.stale[server]
	cfg.ConnectTimeout = c.ConnectTimeout
	s, err := c.open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.Start(c.Handler.Use(s))
	if !s.Resumed() || !s.State().Subscribed() || s.State().Lowered() {
		c.Alive.Wait() // for the server, for as long as it sends; the session is watched itself
		defer c.Alive.Begin(0)
		if err := s.Subscribe(ctx, c.Subscriptions(s.IdentifiesSubscriptions())); err != nil {
			s.Close() // sends the acknowledgements of what was handed on meanwhile
			return nil, err
		}
	}
	for _, remark := range s.Remarks() {
		c.Log.Info("the server is accepted all the same", "server", c.Servers[server].Name, "remark", remark)
	}
	c.Observer.FellShort(server, s.Shortfalls())
	return s, nil
}

func (c *Connector) open(ctx context.Context, cfg session.Config) (*session.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
	defer cancel()
	return session.Open(ctx, cfg)
}

func (c *Connector) config(server int) (session.Config, error) {
	cfg, err := c.Servers[server].Config()
	if err != nil {
		return cfg, &session.Error{Reason: v1alpha1.ReasonReferenceMissing, Message: err.Error(), Err: err}
	}
	return cfg, nil
}

// logFailure logs a server's failure, at a low level where it is that of before.
func (c *Connector) logFailure(ctx context.Context, what string, server int, reason *session.Error) {
	level := slog.LevelWarn
	if c.failing[server] == reason.Message {
		level = slog.LevelDebug
	}
	c.failing[server] = reason.Message
	c.Log.Log(ctx, level, what, "server", c.Servers[server].Name, "url", c.Servers[server].URL, "reason", reason.Reason, "message", reason.Message)
}
