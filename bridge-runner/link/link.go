// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package link keeps one side of a bridge connected: it does what the state
// machine of package failover decides.
//
// It promises that a side has one session at a time, that a session is handed on
// only after its subscriptions are acknowledged, and that it goes on until it is
// told to stop, whatever the servers do. The two sides of a bridge have a link
// each, and neither waits for the other.
package link

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// Server is one server of a side.
type Server struct {
	// Name and URL identify the server in logs.
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
}

// Link keeps one side connected.
type Link struct {
	// Servers are in order of preference.
	Servers []Server
	// Subscriptions returns those to make on a server. identified says whether it has
	// subscription identifiers.
	Subscriptions func(identified bool) []session.Subscription
	// ConnectTimeout bounds an attempt.
	ConnectTimeout time.Duration
	// RetryInitial and RetryMax are as in [failover.Config].
	RetryInitial, RetryMax time.Duration
	// Handler uses the sessions.
	Handler Handler
	// Observer is told of transitions.
	Observer Observer
	// Log gets a line per transition.
	Log *slog.Logger

	// states are what is known of the session with each server.
	states []*session.State
	// failing holds the latest failure of each server, to log changes only.
	failing map[int]string
}

// Run connects until the context ends. It then closes the session with a
// DISCONNECT and returns.
func (l *Link) Run(ctx context.Context) {
	l.failing = map[int]string{}
	for range l.Servers {
		l.states = append(l.states, session.NewState())
	}
	machine := failover.New(failover.Config{
		Servers:      len(l.Servers),
		RetryInitial: l.RetryInitial,
		RetryMax:     l.RetryMax,
	}, rand.Float64)
	for ctx.Err() == nil {
		action := machine.Next(time.Now())
		if action.Connect < 0 {
			sleep(ctx, action.Wait)
			continue
		}
		l.use(ctx, machine, action.Connect)
	}
}

// use tries a server and, where that succeeds, uses it until it is lost.
func (l *Link) use(ctx context.Context, machine *failover.Machine, server int) {
	s, err := l.connect(ctx, server)
	if err != nil {
		if ctx.Err() != nil {
			return
		}
		machine.Failed(server, time.Now())
		l.failed(ctx, server, err)
		return
	}
	machine.Connected(server, time.Now())
	delete(l.failing, server)
	l.Log.Info("connected", "server", l.Servers[server].Name, "url", l.Servers[server].URL, "sessionPresent", s.Resumed())
	l.Observer.Connected(server, time.Now())
	l.Handler.Up(s)
	select {
	case <-s.Done():
		now := time.Now()
		machine.Lost(server, now)
		reason := asError(s.Err())
		l.Observer.Lost(server, reason, now)
		l.Handler.Down(s)
		l.Log.Warn("connection lost", "server", l.Servers[server].Name, "reason", reason.Reason, "message", reason.Message)
	case <-ctx.Done():
		s.Close()
		l.Handler.Down(s)
	}
}

// connect opens a session and subscribes, within ConnectTimeout.
func (l *Link) connect(ctx context.Context, server int) (*session.Session, error) {
	cfg, err := l.Servers[server].Config()
	if err != nil {
		return nil, &session.Error{Reason: v1alpha1.ReasonReferenceMissing, Message: err.Error(), Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, l.ConnectTimeout)
	defer cancel()
	cfg.State = l.states[server]
	s, err := session.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.Start(l.Handler.Use(s))
	if s.Resumed() && s.State().Subscribed() {
		return s, nil
	}
	if err := s.Subscribe(ctx, l.Subscriptions(s.IdentifiesSubscriptions())); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (l *Link) failed(ctx context.Context, server int, err error) {
	reason := asError(err)
	level := slog.LevelWarn
	if l.failing[server] == reason.Message {
		level = slog.LevelDebug
	}
	l.failing[server] = reason.Message
	l.Log.Log(ctx, level, "connection failed", "server", l.Servers[server].Name, "url", l.Servers[server].URL, "reason", reason.Reason, "message", reason.Message)
	l.Observer.Failed(server, reason, time.Now())
}

func asError(err error) *session.Error {
	var e *session.Error
	if errors.As(err, &e) {
		return e
	}
	// Not reached while package session keeps its promise.
	return &session.Error{Reason: v1alpha1.ReasonConnectionClosed, Message: err.Error(), Err: err}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
