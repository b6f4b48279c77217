// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package failover chooses the server of a side. It is a pure state machine: the
// caller reports events with their times, and asks what to do next. Dialling, probing
// and waiting are the caller's tasks.
//
// The algorithm: Servers have a priority, which is their order. A requested server comes
// before all others, until the request is withdrawn. A round is a series of attempts in
// which each server is tried at most once. A round begins at the start, when an
// established connection is lost, and after a pause. It ends with a connection that proves
// stable.
//
//   - Within a round the next attempt goes to the first server, by priority, that
//     is not known to be bad. Servers that failed within the last [Config.RetryMax], or
//     since the round began, come after all others. Among them, the server that failed
//     longest ago comes first. A failure is a failed attempt, a failed probe or a lost
//     connection. These servers are still tried: every server is tried in every round,
//     whichever errors the others gave.
//   - The exception is a server that refuses the bridge permanently, for example because
//     of a wrong password. It is left out until RetryMax has passed since the refusal.
//   - When every server of a round has failed, there is a pause. Pauses grow exponentially
//     from [Config.RetryInitial] to [Config.RetryMax], with jitter in the upper half. After
//     the pause all servers are tried again, by priority. If all servers refuse
//     permanently, the pause lasts until the first of them may be tried again.
//   - A connection that is lost before it is [Config.RetryMax] old counts as a failed
//     attempt of the same round. Therefore the pauses also grow if a server accepts
//     connections and then drops them, or if two clients compete for one client
//     identifier. However the servers behave, the number of attempts per second is at
//     most the number of servers divided by half of RetryInitial.
//
// While a server is in use, the others are probed every [Config.ProbeInterval]. The
// machine fails back to a better server that has passed all its probes for
// [Config.Stable], but only within the windows, if there are any. The required time
// doubles, up to 64 times, whenever that server is lost before it has been in use for
// the same time, or when the switch to it fails. So the machine fails back more and more
// rarely to a server that flaps.
//
// A request for a server that is in use is done. A request for another server while a
// server is in use makes the machine probe the requested server, and switch to it if the
// probe passes. A forced request switches without a probe. If the probe or the switch
// fails, the request is refused, but the server keeps its priority. While no server is in
// use, a request ends the pause between two rounds, and is neither done nor refused.
//
// The settings and the list of servers may change at any time, see [Machine.Reconfigured]. A
// server that stays in the list keeps its history. If the server in use is removed, it stays in
// use until one of the other servers is connected.
package failover

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/internal/window"
)

// Config sets the limits of a machine.
type Config struct {
	// Servers is the number of servers of the side, at least 1.
	Servers int
	// RetryInitial is the first pause between rounds. It is greater than 0.
	RetryInitial time.Duration
	// RetryMax is the longest pause. It is also the time for which a failure is
	// remembered, and the age from which a connection counts as stable. A server with a
	// stable connection is no worse than a server that is tried after the longest pause.
	RetryMax time.Duration
	// ProbeInterval is the time between two probes of a server. 0 means no probes.
	ProbeInterval time.Duration
	// Failback makes the machine return to a better server that has been stable for
	// Stable. It needs probes.
	Failback bool
	Stable   time.Duration
	// Windows are the times at which the machine may fail back. An empty list allows it
	// at any time.
	Windows []window.Window
}

// noServer is used in place of a server's index.
const noServer = -1

// Action is the next step: to try a server, or to wait and then ask again.
type Action struct {
	// Connect is the index of the server to try, or -1 to wait.
	Connect int
	// Wait is the time to wait. It is valid if Connect is -1.
	Wait time.Duration
}

// Machine chooses the server of one side. It is not safe for concurrent use.
type Machine struct {
	cfg Config
	// random returns numbers in [0, 1).
	random  func() float64
	servers []server
	// request gives the requested server its priority.
	request request
	// active is the index of the server in use, or noServer. It is len(servers)-1 = cfg.Servers
	// if the server in use was removed from the list. Otherwise len(servers) is cfg.Servers.
	active int
	// pauses is the number of pauses since the last stable connection.
	pauses int
	// roundStart is the start of the round. It is zero in the first round, and in the
	// future during a pause.
	roundStart time.Time
	// waitUntil is the end of the current wait of Next. It is zero or in the past if there
	// is none.
	waitUntil time.Time
	// skipWait is true if the next wait of Next is skipped, because a request has arrived
	// during a round. It is false while a server is in use.
	skipWait bool
	// stopped is true after StopSwitching.
	stopped bool
	// first is the server of the first attempt, or noServer. See Recall.
	first int
}

type server struct {
	// tried is true if the server was tried in this round.
	tried bool
	// failedAt is the time of the latest failure. It is zero if the server is not known
	// to have failed since it last connected or passed a probe, or since the last pause.
	failedAt time.Time
	// refusedAt is the time at which the server refused permanently. It is zero if it has
	// not, or if a later attempt ended differently or a later probe passed.
	refusedAt time.Time
	// connectedAt is the start of the current connection. It is valid for the active
	// server.
	connectedAt time.Time

	// probing is true while a probe is under way.
	probing bool
	// probeAt is the time of the next probe. If it is zero, Standby chooses it at its next
	// call.
	probeAt time.Time
	// passingSince is the time since which the server has passed every probe. It is zero
	// if the server has failed, or has not passed a probe since its last connection.
	passingSince time.Time
	// passedAt is the time of the latest probe that the server passed. It is valid if
	// passingSince is not zero.
	passedAt time.Time
	// failedBack is true if the latest connection was a failback.
	failedBack bool
	// flaps is the number of failbacks in a row that did not last, at most maxFlaps.
	flaps int

	// leaveFailures is the number of failed attempts to leave the removed server for this one
	// since the latest change of the settings, at most maxFlaps. leaveFailedAt is the time of the
	// latest of them. Both are valid while the removed server is in use.
	leaveFailures int
	leaveFailedAt time.Time
}

// New returns a machine at the start of its first round. random is the source of
// jitter: it returns numbers in [0, 1).
func New(cfg Config, random func() float64) *Machine {
	return &Machine{cfg: cfg, random: random, servers: make([]server, cfg.Servers), request: request{server: noServer}, active: noServer, first: noServer}
}

// rank is the position of a server by priority. A lower rank is better.
func (m *Machine) rank(i int) int {
	if i == m.request.server {
		return -1
	}
	return i
}

// Next returns the next step while no server is in use. A server that it returns counts
// as tried. The caller must report the result with Connected or Failed.
func (m *Machine) Next(now time.Time) Action {
	if left := m.waitUntil.Sub(now); left > 0 {
		return Action{Connect: noServer, Wait: left}
	}
	first := m.first
	m.first = noServer
	if first != noServer && m.request.server == noServer {
		m.servers[first].tried = true
		return Action{Connect: first}
	}
	best, tried := noServer, false
	for i := range m.servers {
		switch {
		case m.servers[i].tried:
			tried = true
		case m.excluded(i, now):
		case best == noServer || m.better(i, best, now):
			best = i
		}
	}
	switch {
	case best != noServer:
		m.servers[best].tried = true
		return Action{Connect: best}
	case !tried: // all servers refuse permanently
		return m.wait(m.untilAllowed(now), now)
	}
	pause := m.wait(m.pause(), now)
	m.pauses++
	m.roundStart = m.waitUntil
	for i := range m.servers {
		s := &m.servers[i]
		s.tried = false
		s.failedAt = time.Time{} // All servers failed, so the next round uses the priority alone.
	}
	return pause
}

// wait begins a wait of d, unless it is to be skipped.
func (m *Machine) wait(d time.Duration, now time.Time) Action {
	if m.skipWait {
		d, m.skipWait = 0, false
	}
	m.waitUntil = now.Add(d)
	return Action{Connect: noServer, Wait: d}
}

// better reports whether server i is to be tried before server j.
func (m *Machine) better(i, j int, now time.Time) bool {
	a := m.failedRecently(i, now) || m.failedThisRound(i)
	b := m.failedRecently(j, now) || m.failedThisRound(j)
	switch {
	case a && b:
		return m.servers[i].failedAt.Before(m.servers[j].failedAt)
	case a != b:
		return b
	}
	return m.rank(i) < m.rank(j)
}

// failedRecently reports whether server i has failed within the last RetryMax.
func (m *Machine) failedRecently(i int, now time.Time) bool {
	at := m.servers[i].failedAt
	return !at.IsZero() && now.Sub(at) < m.cfg.RetryMax
}

// failedThisRound reports whether server i has failed since the round began. With many
// or slow servers, a round may take longer than RetryMax.
func (m *Machine) failedThisRound(i int) bool {
	at := m.servers[i].failedAt
	return !at.IsZero() && !at.Before(m.roundStart)
}

// excluded reports whether server i is left out because it has refused permanently.
func (m *Machine) excluded(i int, now time.Time) bool {
	at := m.servers[i].refusedAt
	return !at.IsZero() && now.Sub(at) < m.cfg.RetryMax
}

// untilAllowed is the time until the first server may be tried again, if all servers
// refuse permanently.
func (m *Machine) untilAllowed(now time.Time) time.Duration {
	wait := m.cfg.RetryMax
	for i := range m.servers {
		wait = min(wait, m.servers[i].refusedAt.Add(m.cfg.RetryMax).Sub(now))
	}
	return max(wait, 0)
}

// Failed reports that the attempt at server i failed. permanent means that the server
// refuses the bridge until its configuration or the bridge's is changed. If it was a
// switch to the requested server, the request is refused.
func (m *Machine) Failed(i int, permanent bool, now time.Time) Answer {
	s := &m.servers[i]
	answer := NoAnswer
	if i != m.active && m.active != noServer { // a switch to it failed
		if m.leaving() {
			m.leaveFailed(i, now)
		} else {
			s.flaps = min(s.flaps+1, maxFlaps)
		}
		answer = m.answerRequest(i, ConnectFailed)
	}
	m.fail(i, now)
	if s.refusedAt = (time.Time{}); permanent {
		s.refusedAt = now
	}
	return answer
}

func (m *Machine) fail(i int, now time.Time) {
	s := &m.servers[i]
	s.failedAt, s.passingSince = now, time.Time{}
}

// Connected reports that server i is in use. failedBack means that it has replaced a
// worse server because it had been stable. If it is the requested server and has replaced
// another server, the request is done.
func (m *Machine) Connected(i int, failedBack bool, now time.Time) Answer {
	answer := NoAnswer
	if old := m.active; old != noServer && old != i {
		m.disconnected(old, now)
		m.servers[old].tried = false // it was replaced, and not lost
		answer = m.answerRequest(i, Switched)
	}
	s := &m.servers[i]
	s.failedAt, s.refusedAt, s.passingSince, s.probeAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	s.connectedAt, s.failedBack, s.tried = now, failedBack, true
	m.active, m.skipWait = i, false
	m.dropRemoved()
	return answer
}

// Lost reports that the connection to server i is lost.
func (m *Machine) Lost(i int, now time.Time) {
	s := &m.servers[i]
	if s.failedBack && now.Sub(s.connectedAt) < m.requiredStable(i) {
		s.flaps = min(s.flaps+1, maxFlaps)
	}
	m.disconnected(i, now)
	m.fail(i, now)
	m.dropRemoved()
}

// disconnected records that server i is no longer in use. If its connection was stable,
// a round begins.
func (m *Machine) disconnected(i int, now time.Time) {
	m.active = noServer
	age := now.Sub(m.servers[i].connectedAt)
	if age >= m.requiredStable(i) {
		m.servers[i].flaps = 0
	}
	if age < m.cfg.RetryMax {
		return
	}
	m.pauses, m.roundStart = 0, now
	for i := range m.servers {
		m.servers[i].tried = false
	}
}

// pause is RetryInitial, doubled for each previous pause, at most RetryMax. A random
// part of up to one half is subtracted, so that many bridges do not reconnect at once.
func (m *Machine) pause() time.Duration {
	d := m.cfg.RetryInitial
	for range m.pauses {
		if d >= m.cfg.RetryMax/2 {
			d = m.cfg.RetryMax
			break
		}
		d *= 2
	}
	d = min(d, m.cfg.RetryMax)
	return d - time.Duration(m.random()*float64(d)/2)
}
