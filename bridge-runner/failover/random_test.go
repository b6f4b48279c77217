// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// world is servers that come and go by chance, and a caller that does what the machine
// says, in simulated time.
type world struct {
	t      *testing.T
	random *rand.Rand
	m      *Machine
	now    time.Time
	log    []string

	servers []simulated
	active  int
	pending []probe
	settled bool // nothing changes any more

	since    time.Time // no server is in use, and tried are those of which it is said so
	tried    map[int]bool
	idle     int // answers in a row that say to do nothing, and for no time
	attempts int
}

type simulated struct {
	up      bool
	passes  bool          // probes, though it may not be up, or the other way round
	refuses bool          // for good
	lasts   time.Duration // a connection, 0 for as long as it is up
	until   time.Time     // when it changes
}

type probe struct {
	server int
	at     time.Time
}

func (w *world) say(format string, args ...any) {
	w.log = append(w.log, w.now.Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (w *world) fatal(format string, args ...any) {
	w.t.Helper()
	for _, line := range w.log[max(0, len(w.log)-60):] {
		w.t.Log(line)
	}
	w.t.Fatalf(format, args...)
}

func newWorld(t *testing.T, seed uint64) *world {
	random := rand.New(rand.NewPCG(seed, 0))
	seconds := func(most int) time.Duration { return time.Duration(1+random.IntN(most)) * time.Second }
	cfg := Config{
		Servers: 1 + random.IntN(4), RetryInitial: 50*time.Millisecond + seconds(2)/4, RetryMax: seconds(60),
		ProbeInterval: seconds(60), Failback: random.IntN(4) > 0, Stable: seconds(120),
	}
	cfg.RetryMax = max(cfg.RetryMax, cfg.RetryInitial)
	if !cfg.Failback && random.IntN(2) == 0 {
		cfg.ProbeInterval = 0
	}
	w := &world{t: t, random: random, m: New(cfg, random.Float64), active: none, servers: make([]simulated, cfg.Servers)}
	w.now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w.since, w.tried = w.now, map[int]bool{}
	w.say("%+v", cfg)
	return w
}

// change has servers whose time has come be as chance has it.
func (w *world) change() {
	for i := range w.servers {
		s := &w.servers[i]
		if w.now.Before(s.until) {
			continue
		}
		*s = simulated{up: w.random.IntN(2) == 0, refuses: w.random.IntN(6) == 0}
		if s.passes = s.up && !s.refuses; w.random.IntN(5) == 0 {
			s.passes = !s.passes
		}
		if w.random.IntN(3) == 0 {
			s.lasts = time.Duration(w.random.IntN(5000)) * time.Millisecond
		}
		s.until = w.now.Add(time.Duration(w.random.ExpFloat64() * float64(2*time.Minute)))
		w.say("%d is %+v", i, *s)
	}
	if !w.settled && w.random.IntN(2000) == 0 {
		preferred := w.random.IntN(len(w.servers)+1) - 1
		w.say("prefer %d", preferred)
		w.m.Prefer(preferred)
	}
}

func (w *world) usable(i int) bool { return w.servers[i].up && !w.servers[i].refuses }

// attempt connects, or fails.
func (w *world) attempt(i int, back bool) {
	w.attempts++
	w.tried[i] = true
	if w.now = w.now.Add(time.Millisecond); w.usable(i) {
		w.say("connected %d", i)
		w.m.Connected(i, back, w.now)
		w.active = i
		if s := &w.servers[i]; s.lasts > 0 {
			s.until = w.now.Add(s.lasts)
		}
		return
	}
	w.say("failed %d", i)
	w.m.Failed(i, w.servers[i].refuses, w.now)
}

// step does what the machine says, and passes time.
func (w *world) step() {
	w.change()
	wait := time.Duration(0)
	if w.active != none && !w.usable(w.active) {
		w.say("lost %d", w.active)
		w.m.Lost(w.active, w.now)
		w.active, w.since, w.tried = none, w.now, map[int]bool{}
	}
	for i, p := range w.pending {
		if !w.now.Before(p.at) {
			w.pending = append(w.pending[:i:i], w.pending[i+1:]...)
			w.m.Probed(p.server, w.servers[p.server].passes, false, w.now)
			return
		}
	}
	if w.active == none {
		a := w.m.Next(w.now)
		if a.Connect >= 0 {
			w.idle = 0
			w.attempt(a.Connect, false)
			return
		}
		w.say("wait %v", a.Wait)
		wait = a.Wait
	} else {
		out := w.m.Standby(w.now)
		for _, i := range out.Probe {
			w.pending = append(w.pending, probe{i, w.now.Add(time.Duration(w.random.IntN(3000)) * time.Millisecond)})
		}
		if out.Switch >= 0 {
			w.say("go back to %d", out.Switch)
			w.idle = 0
			w.attempt(out.Switch, true)
			return
		}
		wait = out.Wait
		if wait == 0 && (len(w.pending) > 0 || w.m.cfg.ProbeInterval == 0 || len(w.servers) == 1) {
			wait = time.Hour // until something happens
		}
	}
	w.idle++
	if wait > 0 {
		w.idle = 0
	}
	if w.idle > 3 {
		w.fatal("it spins")
	}
	w.pass(wait)
}

// pass passes time until something happens.
func (w *world) pass(wait time.Duration) {
	until := w.now.Add(wait)
	for _, p := range w.pending {
		until = earliest(until, p.at)
	}
	if w.active != none {
		until = earliest(until, w.servers[w.active].until)
	}
	w.now = latest(w.now, until)
	if most := 4*w.m.cfg.RetryMax + 2*time.Second; w.active == none && w.now.Sub(w.since) > most {
		for i := range w.servers {
			if !w.tried[i] {
				w.fatal("%d was not tried for %v", i, w.now.Sub(w.since))
			}
		}
		w.since, w.tried = w.now, map[int]bool{}
	}
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Whatever the servers do, each is tried, the machine never spins, attempts are bounded,
// and in the end it is at the best server that is of use.
func TestWhateverHappensServersAreTriedAndTheBestIsUsedInTheEnd(t *testing.T) {
	const seeds = 200
	for seed := range uint64(seeds) {
		w := newWorld(t, seed)
		w.say("seed %d", seed)
		for start := w.now; w.now.Sub(start) < 3*time.Hour; {
			w.step()
			if most := len(w.servers) * (2 + int(w.now.Sub(start)/(w.m.cfg.RetryInitial/2))); w.attempts > most {
				w.fatal("%d attempts", w.attempts)
			}
		}
		w.settled = true
		w.m.Prefer(none)
		good := w.random.IntN(len(w.servers))
		forever := w.now.Add(1000 * time.Hour)
		for i := range w.servers {
			w.servers[i] = simulated{up: i >= good, passes: i >= good, until: forever}
		}
		for end := w.now.Add(70*2*time.Minute + 10*time.Minute); w.now.Before(end); {
			w.step()
		}
		if w.active == none || w.m.cfg.Failback && w.active != good {
			w.fatal("seed %d: %d is used, and %d is the best", seed, w.active, good)
		}
	}
}
