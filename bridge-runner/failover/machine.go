// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package failover chooses the server of a side. It is a pure state machine: it
// is told what happened and when, and answers what to do next; dialling and
// waiting are its caller's.
//
// The algorithm. Servers have a priority, their order. A round is a series of
// attempts in which each server is tried once at most. It begins at the start,
// when an established connection is lost, and after a pause; it ends with a
// connection that proves stable.
//
//   - Within a round the next attempt goes to the first server, by priority, that
//     is not known to be bad. Servers that failed within the last [Config.RetryMax]
//     come after all others, the one that failed longest ago first. They are still
//     tried: every server is tried in every round, whatever error the others gave.
//   - When every server of a round has failed there is a pause, exponential from
//     [Config.RetryInitial] to [Config.RetryMax] with jitter in its upper half. After
//     it all are tried again, by priority.
//   - A connection that is lost before it is [Config.RetryMax] old counts as a
//     failed attempt of the same round. So a server that accepts and then drops,
//     or two clients that fight over one client identifier, are met with growing
//     pauses, too: attempts per second are bounded by the number of servers over
//     half of RetryInitial whatever the servers do.
package failover

import "time"

// Config sets a machine's bounds.
type Config struct {
	// Servers is how many servers the side has, at least 1.
	Servers int
	// RetryInitial is the first pause between rounds, greater than 0.
	RetryInitial time.Duration
	// RetryMax is the longest pause. It is also how long a failure is remembered
	// and how old a connection must be to count as stable: a server is then known
	// to be no worse than one that is tried afresh after the longest pause.
	RetryMax time.Duration
}

// Action is what to do next: to try a server, or to wait and then ask again.
type Action struct {
	// Connect is the place of the server to try, counted from 0, or -1 to wait.
	Connect int
	// Wait is how long to wait where Connect is -1.
	Wait time.Duration
}

// Machine is the choice of one side's server. It is not safe for concurrent use.
type Machine struct {
	cfg     Config
	random  func() float64 // in [0, 1)
	servers []server
	pauses  int // in a row, without a stable connection between them
}

type server struct {
	tried       bool      // in this round
	failedAt    time.Time // zero: not known to have failed
	connectedAt time.Time
}

// New returns a machine at the start of its first round. random gives the jitter:
// a number from 0 up to 1.
func New(cfg Config, random func() float64) *Machine {
	return &Machine{cfg: cfg, random: random, servers: make([]server, cfg.Servers)}
}

// Next says what to do now. A server that it names counts as tried until it is
// reported as connected or failed.
func (m *Machine) Next(now time.Time) Action {
	best := -1
	for i := range m.servers {
		if !m.servers[i].tried && (best < 0 || m.better(i, best, now)) {
			best = i
		}
	}
	if best >= 0 {
		m.servers[best].tried = true
		return Action{Connect: best}
	}
	pause := m.pause()
	m.pauses++
	for i := range m.servers {
		// All failed alike: the next round goes by priority alone.
		m.servers[i] = server{}
	}
	return Action{Connect: -1, Wait: pause}
}

// better reports whether server i is to be tried before server j, where i > j.
func (m *Machine) better(i, j int, now time.Time) bool {
	a, b := m.bad(i, now), m.bad(j, now)
	if a && b {
		return m.servers[i].failedAt.Before(m.servers[j].failedAt)
	}
	return !a && b
}

// bad reports whether the server is known to have failed of late.
func (m *Machine) bad(i int, now time.Time) bool {
	at := m.servers[i].failedAt
	return !at.IsZero() && now.Sub(at) < m.cfg.RetryMax
}

// Failed reports that the attempt at server i failed.
func (m *Machine) Failed(i int, now time.Time) {
	m.servers[i].failedAt = now
}

// Connected reports that server i is connected.
func (m *Machine) Connected(i int, now time.Time) {
	m.servers[i].failedAt = time.Time{}
	m.servers[i].connectedAt = now
}

// Lost reports that the connection to server i is lost.
func (m *Machine) Lost(i int, now time.Time) {
	m.servers[i].failedAt = now
	if now.Sub(m.servers[i].connectedAt) < m.cfg.RetryMax {
		return
	}
	m.pauses = 0
	for i := range m.servers {
		m.servers[i].tried = false
	}
}

// pause is RetryInitial doubled for each pause before it, at most RetryMax, less
// up to a half by chance so that many bridges do not come back at once.
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
