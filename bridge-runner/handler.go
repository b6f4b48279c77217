// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// side is a connector's handler: the side is the source of one pipe and the destination
// of the other. The connector calls its methods in a goroutine of its own, so each that writes
// calls Flush at its end.
type side struct {
	out      *delivery.Pipe // receives the messages of this side's servers
	in       *delivery.Pipe // publishes the other side's messages on this side
	sessions *sideSessions
	flusher  *session.Flusher // of the sessions of both sides
	notifier *notifier
	// echoes and otherEchoes detect that the servers of this side and of the other side send
	// the bridge's own messages back. They hold nil if the rules form no loop.
	echoes, otherEchoes *atomic.Pointer[echoDetector]
	// name is the name of the side.
	name string
	// seat and know are nil if the process is no member of a group.
	seat *seat
	know *knowledge
}

// sideSessions are the sessions of a side. Only the side's connector sets them.
type sideSessions struct {
	up      atomic.Pointer[session.Session] // connected and subscribed; nil: none
	opening atomic.Pointer[session.Session] // not up yet; nil: none
}

// set records the session that is up. nil: none is.
func (c *sideSessions) set(up *session.Session) {
	c.up.Store(up)
	c.opening.Store(nil)
}

func (x side) NewSession(s *session.Session) session.Handler {
	x.sessions.opening.Store(s)
	x.echoes.Load().begin(time.Now())
	return handler{x, s}
}

func (x side) Up(s *session.Session) {
	x.sessions.set(s)
	x.know.use(x.name, s)
	x.in.Up(s)
	x.notifier.sessionUp(s)
	x.flusher.Flush()
}

func (x side) Down(s *session.Session) {
	x.sessions.set(nil)
	x.know.use(x.name, nil)
	x.seat.sessionEnded(s)
	x.in.Down(s)
	x.notifier.sessionDown(s)
	x.flusher.Flush() // sends the acknowledgements of dropped messages, too
}

func (x side) Pause(ctx context.Context, s *session.Session) (inflight, left int) {
	return x.in.Pause(ctx, s)
}

func (x side) Resume(s *session.Session) {
	x.sessions.set(s)
	x.in.Resume(s)
	x.flusher.Flush()
}

func (x side) Closing(s *session.Session) {
	x.notifier.closing(s)
	x.flusher.Flush()
}

func (x side) Replace(old, next *session.Session) {
	x.sessions.set(next)
	x.know.use(x.name, next)
	x.in.Up(next)
	x.notifier.replaced(old, next)
	x.flusher.Flush()
}

// handler handles the packets that one session's server sends. The session calls Flush after
// its methods.
type handler struct {
	side
	s *session.Session
}

func (h handler) Received(in *session.Inbound) {
	if h.echoes.Load().received(in) {
		h.s.RejectServer(diagnosis.EchoReceived)
		return
	}
	h.otherEchoes.Load().publish(in)
	h.out.Receive(in)
}

func (h handler) Redelivered(*session.Inbound) { h.out.Redelivered() }

func (h handler) Acknowledged(m *session.Outgoing, refused *session.Refusal) {
	if m.Owner == nil {
		h.notifier.acknowledged(h.s, m, refused)
		return
	}
	h.in.Acknowledged(h.s, m, refused)
}

func (h handler) Ready() {
	h.notifier.ready(h.s)
	h.in.Ready(h.s)
}
