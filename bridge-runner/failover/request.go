// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"time"
)

// request is the request for a server. It remains after its final answer, until it is
// withdrawn or replaced.
type request struct {
	// server is the index of the requested server, or noServer if there is no request.
	server int
	stage  requestStage
}

// requestStage is the progress of a request.
type requestStage int

const (
	// answered: there is no request, or it is done or refused.
	answered requestStage = iota
	// probeDue: the server is probed as soon as another server is in use, and an earlier
	// probe of it has ended. The result of the earlier probe may be outdated.
	probeDue
	// probeRunning: the probe for this request is under way.
	probeRunning
	// probeFailed: that probe has failed. The request is refused when another server is in
	// use. Until then an attempt may connect to the requested server.
	probeFailed
	// switchDue: that probe has passed, or the request is forced. The machine switches as
	// soon as another server is in use.
	switchDue
)

// Answer is a new state of the request, which the caller reports. Done and refused are
// final.
type Answer int

const (
	// NoAnswer means that the request has not changed.
	NoAnswer Answer = iota
	// Pending means that the machine works on the request. The machine does not return it.
	Pending
	// InUse means that the request is done, because the server is in use.
	InUse
	// Switched means that the request is done, because the server has replaced another one.
	Switched
	// ProbeFailed means that the request is refused, because its probe failed.
	ProbeFailed
	// ConnectFailed means that the request is refused, because the switch failed.
	ConnectFailed
)

// Requested reports a request for server i. It replaces an earlier request, and is pending
// until the machine returns its final answer. force means to switch without a probe.
func (m *Machine) Requested(i int, force bool, now time.Time) {
	m.endWait(now)
	m.request = request{server: i, stage: probeDue}
	if force {
		m.request.stage = switchDue
	}
}

// Withdrawn reports that there is no request any more.
func (m *Machine) Withdrawn(now time.Time) {
	m.endWait(now)
	m.request = request{server: noServer}
}

// StopSwitching reports that the caller will end soon. From then on the machine returns no
// switch, and works on no request.
func (m *Machine) StopSwitching() { m.stopped = true }

// endWait ends a wait, during which no server counts as tried in this round. After the
// first attempt of a round, it makes the machine skip the pause after that round.
func (m *Machine) endWait(now time.Time) {
	if now.Before(m.waitUntil) {
		m.waitUntil, m.roundStart = now, now
	}
	m.skipWait = m.active == noServer && slices.ContainsFunc(m.servers, func(s server) bool { return s.tried })
}

// answerRequest returns the given final answer if the request for server i has none yet.
func (m *Machine) answerRequest(i int, answer Answer) Answer {
	if i != m.request.server || m.request.stage == answered {
		return NoAnswer
	}
	m.request.stage = answered
	return answer
}

// nextRequested returns the next step for the request: a switch, a probe or an answer.
func (m *Machine) nextRequested() Standby {
	out, r := Standby{Switch: noServer}, &m.request
	switch {
	case m.stopped || r.stage == answered:
	case r.server == m.active:
		out.Answer = m.answerRequest(r.server, InUse)
	case r.stage == switchDue:
		out.Switch, out.Requested = r.server, true
	case r.stage == probeFailed:
		out.Answer = m.answerRequest(r.server, ProbeFailed)
	case r.stage == probeDue && !m.servers[r.server].probing:
		r.stage = probeRunning
		m.servers[r.server].probing = true
		out.Probe = []int{r.server}
	}
	return out
}

// probedRequested records the result of a probe, if the request has started it.
func (m *Machine) probedRequested(i int, passed bool) {
	r := &m.request
	if i != r.server || r.stage != probeRunning {
		return
	}
	if r.stage = probeFailed; passed {
		r.stage = switchDue
	}
}
