// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package failover chooses the server of a side. It is a pure state machine: it
// is told what happened and when, and answers what to do next; dialling, probing
// and waiting are its caller's.
//
// The algorithm. Servers have a priority, their order; one may be preferred, and
// stands before all others then. A round is a series of attempts in which each
// server is tried once at most. It begins at the start, when an established
// connection is lost, and after a pause; it ends with a connection that proves
// stable.
//
//   - Within a round the next attempt goes to the first server, by priority, that
//     is not known to be bad. Servers that failed within the last [Config.RetryMax], or
//     since the round began, come after all others, the one that failed longest ago
//     first; failed is an attempt, a probe or a connection. They are still tried: every server is tried in
//     every round, whatever error the others gave.
//   - The exception is a server that refuses the bridge for good, as for a wrong
//     password: it is left out until RetryMax has passed since then.
//   - When every server of a round has failed there is a pause, exponential from
//     [Config.RetryInitial] to [Config.RetryMax] with jitter in its upper half. After
//     it all are tried again, by priority. Where all of them refuse for good, the
//     pause is until the first may be tried again.
//   - A connection that is lost before it is [Config.RetryMax] old counts as a
//     failed attempt of the same round. So a server that accepts and then drops,
//     or two clients that fight over one client identifier, are met with growing
//     pauses, too: attempts per second are bounded by the number of servers over
//     half of RetryInitial whatever the servers do.
//
// While a server is in use, the others are probed every [Config.ProbeInterval]. A
// better one that has passed its probes for [Config.Stable] without a miss is gone
// back to, within the windows, where there are any. Each time that it is lost again
// before as much time has passed, or cannot be used after all, the time that it has
// to be stable is doubled, up to 64 times: a server that flaps is gone back to ever
// more seldom.
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
	// ProbeInterval is the time between two probes of a server, 0 for none.
	ProbeInterval time.Duration
	// Failback says to go back to a better server that has been stable for Stable.
	// It needs probes.
	Failback bool
	Stable   time.Duration
	// Windows are when the machine may go back; none is at any time.
	Windows []Window
}

// none is the place of no server.
const none = -1

// Action is what to do next: to try a server, or to wait and then ask again.
type Action struct {
	// Connect is the place of the server to try, counted from 0, or -1 to wait.
	Connect int
	// Wait is how long to wait where Connect is -1.
	Wait time.Duration
}

// Machine is the choice of one side's server. It is not safe for concurrent use.
type Machine struct {
	cfg       Config
	random    func() float64 // in [0, 1)
	servers   []server
	preferred int
	active    int       // the server in use
	pauses    int       // in a row, without a stable connection between them
	round     time.Time // when it began; zero: with the machine
}

type server struct {
	tried       bool      // in this round
	failedAt    time.Time // zero: not known to have failed
	refusedAt   time.Time // when it refused for good; zero: the latest attempt did not fail so
	connectedAt time.Time

	probing bool      // a probe is under way
	probeAt time.Time // of the next probe; zero: when it is asked for
	passing time.Time // since when every probe was passed; zero: the latest was not
	passed  time.Time // the latest that was passed
	back    bool      // the bridge went back to it
	flaps   int       // how often it went back in vain, in a row
}

// New returns a machine at the start of its first round. random gives the jitter:
// a number from 0 up to 1.
func New(cfg Config, random func() float64) *Machine {
	return &Machine{cfg: cfg, random: random, servers: make([]server, cfg.Servers), preferred: none, active: none}
}

// Prefer puts a server before all others, or with -1 none.
func (m *Machine) Prefer(i int) { m.preferred = i }

// rank is a server's place by priority: the lower, the better.
func (m *Machine) rank(i int) int {
	if i == m.preferred {
		return none
	}
	return i
}

// Next says what to do now. A server that it names counts as tried until it is
// reported as connected or failed.
func (m *Machine) Next(now time.Time) Action {
	best, tried := none, false
	for i := range m.servers {
		switch {
		case m.servers[i].tried:
			tried = true
		case m.refuses(i, now):
		case best == none || m.better(i, best, now):
			best = i
		}
	}
	switch {
	case best != none:
		m.servers[best].tried = true
		return Action{Connect: best}
	case !tried: // all of them refuse for good
		return Action{Connect: none, Wait: m.untilAllowed(now)}
	}
	pause := m.pause()
	m.pauses++
	m.round = now.Add(pause)
	for i := range m.servers {
		s := &m.servers[i]
		s.tried = false
		s.failedAt = time.Time{} // All failed alike: the next round goes by priority alone.
	}
	return Action{Connect: none, Wait: pause}
}

// better reports whether server i is to be tried before server j.
func (m *Machine) better(i, j int, now time.Time) bool {
	a, b := m.bad(i, now) || m.failedNow(i), m.bad(j, now) || m.failedNow(j)
	switch {
	case a && b:
		return m.servers[i].failedAt.Before(m.servers[j].failedAt)
	case a != b:
		return b
	}
	return m.rank(i) < m.rank(j)
}

// bad reports whether the server is known to have failed of late.
func (m *Machine) bad(i int, now time.Time) bool {
	at := m.servers[i].failedAt
	return !at.IsZero() && now.Sub(at) < m.cfg.RetryMax
}

// failedNow reports whether the server has failed in this round: with many servers, or
// slow ones, that may be longer ago than RetryMax.
func (m *Machine) failedNow(i int) bool {
	at := m.servers[i].failedAt
	return !at.IsZero() && !at.Before(m.round)
}

// refuses reports whether the server is left out because it has refused for good.
func (m *Machine) refuses(i int, now time.Time) bool {
	at := m.servers[i].refusedAt
	return !at.IsZero() && now.Sub(at) < m.cfg.RetryMax
}

// untilAllowed is how long it takes until a server that refuses for good may be tried.
func (m *Machine) untilAllowed(now time.Time) time.Duration {
	wait := m.cfg.RetryMax
	for i := range m.servers {
		wait = min(wait, m.servers[i].refusedAt.Add(m.cfg.RetryMax).Sub(now))
	}
	return max(wait, 0)
}

// Failed reports that the attempt at server i failed; forGood, that the server refuses
// the bridge until something is changed.
func (m *Machine) Failed(i int, forGood bool, now time.Time) {
	s := &m.servers[i]
	if i != m.active && m.active != none { // it was to take the place of the one in use
		s.flaps = min(s.flaps+1, mostFlaps)
	}
	m.fail(i, now)
	if s.refusedAt = (time.Time{}); forGood {
		s.refusedAt = now
	}
}

func (m *Machine) fail(i int, now time.Time) {
	s := &m.servers[i]
	s.failedAt, s.passing = now, time.Time{}
}

// Connected reports that server i is in use; back, that it took the place of a worse
// one because it had been stable.
func (m *Machine) Connected(i int, back bool, now time.Time) {
	if left := m.active; left != none && left != i {
		m.over(left, now)
		m.servers[left].tried = false // it was left, and not lost
	}
	s := &m.servers[i]
	s.failedAt, s.refusedAt, s.passing, s.probeAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	s.connectedAt, s.back, s.tried = now, back, true
	m.active = i
}

// Lost reports that the connection to server i is lost.
func (m *Machine) Lost(i int, now time.Time) {
	s := &m.servers[i]
	if s.back && now.Sub(s.connectedAt) < m.hold(i) {
		s.flaps = min(s.flaps+1, mostFlaps)
	}
	m.over(i, now)
	m.fail(i, now)
}

// over notes that server i is no longer in use. If its connection was stable, a round
// begins.
func (m *Machine) over(i int, now time.Time) {
	m.active = none
	age := now.Sub(m.servers[i].connectedAt)
	if age >= m.hold(i) {
		m.servers[i].flaps = 0
	}
	if age < m.cfg.RetryMax {
		return
	}
	m.pauses, m.round = 0, now
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
