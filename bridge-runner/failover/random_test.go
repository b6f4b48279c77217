// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// world simulates servers that become available and unavailable at random, and a caller
// that carries out the machine's decisions, in simulated time.
type world struct {
	t      *testing.T
	random *rand.Rand
	m      *Machine
	now    time.Time
	log    []string

	servers []simulated
	active  int
	pending []probe
	settled bool // the request no longer changes

	requested int  // the requested server, or noServer
	open      bool // the request has no final answer

	since    time.Time    // since when no server is in use; pass restarts it
	tried    map[int]bool // the servers tried after since
	idle     int          // answers in a row without an action and without a wait
	attempts int
	// allowed is the number of attempts that changes of the settings may add.
	allowed int
}

// maxServers is the largest number of servers in the list.
const maxServers = 4

type simulated struct {
	up      bool
	passes  bool          // it passes probes; sometimes the opposite of usable
	refuses bool          // it refuses the bridge permanently
	lasts   time.Duration // of a connection; 0: while the server is up
	until   time.Time     // when the server changes
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
	cfg := randomConfig(random, 50*time.Millisecond+time.Duration(1+random.IntN(2))*time.Second/4)
	cfg.Servers = 1 + random.IntN(maxServers)
	w := &world{t: t, random: random, m: New(cfg, random.Float64), active: noServer, requested: noServer, servers: make([]simulated, cfg.Servers)}
	w.now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w.since, w.tried = w.now, map[int]bool{}
	w.say("%+v", cfg)
	return w
}

// change gives a random state to each server whose time has come, and sometimes
// changes the request, or the settings and the list.
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
		w.request(w.random.IntN(w.m.cfg.Servers+1)-1, w.random.IntN(2) == 0)
	}
	if !w.settled && w.random.IntN(2000) == 0 {
		w.reconfigure()
	}
}

// request requests a server. With noServer it withdraws the request.
func (w *world) request(server int, force bool) {
	w.say("request %d, force: %v", server, force)
	w.requested, w.open = server, server != noServer
	if !w.open {
		w.m.Withdrawn(w.now)
		return
	}
	w.m.Requested(server, force, w.now)
}

// answer checks that a request is done if and only if the server is in use, and gets one
// final answer.
func (w *world) answer(answer Answer) {
	if answer == NoAnswer {
		return
	}
	w.say("answer %d", answer)
	done := answer == InUse || answer == Switched
	if !w.open || done != (w.active == w.requested) {
		w.fatal("answer %d to the request for %d while %d is in use", answer, w.requested, w.active)
	}
	w.open = false
}

func (w *world) usable(i int) bool { return w.servers[i].up && !w.servers[i].refuses }

// attempt connects to a server if it is usable, and reports the result.
func (w *world) attempt(i int, back bool) {
	w.attempts++
	w.tried[i] = true
	if w.now = w.now.Add(time.Millisecond); w.usable(i) {
		w.say("connected %d", i)
		answer := w.m.Connected(i, back, w.now)
		w.active = i
		w.answer(answer)
		w.forgetMissing()
		if s := &w.servers[i]; s.lasts > 0 {
			s.until = w.now.Add(s.lasts)
		}
		return
	}
	w.say("failed %d", i)
	w.answer(w.m.Failed(i, w.servers[i].refuses, w.now))
}

// step carries out one decision of the machine, and advances the time.
func (w *world) step() {
	w.change()
	wait := time.Duration(0)
	if w.active != noServer && !w.usable(w.active) {
		w.say("lost %d", w.active)
		w.m.Lost(w.active, w.now)
		w.active, w.since, w.tried = noServer, w.now, map[int]bool{}
		w.forgetMissing()
	}
	for i, p := range w.pending {
		if !w.now.Before(p.at) {
			w.pending = append(w.pending[:i:i], w.pending[i+1:]...)
			w.m.Probed(p.server, w.servers[p.server].passes, false, w.now)
			return
		}
	}
	if w.active == noServer {
		a := w.m.Next(w.now)
		if a.Connect >= 0 {
			w.idle = 0
			w.attempt(a.Connect, false)
			return
		}
		w.say("wait %v", a.Wait)
		wait = a.Wait
	} else {
		out := w.m.NextStandby(w.now)
		w.answer(out.Answer)
		for _, i := range out.Probe {
			w.pending = append(w.pending, probe{i, w.now.Add(time.Duration(w.random.IntN(3000)) * time.Millisecond)})
		}
		if out.Switch >= 0 {
			w.say("switch to %d, requested: %v, removed: %v", out.Switch, out.Requested, out.Removed)
			w.idle = 0
			w.attempt(out.Switch, !out.Requested && !out.Removed)
			return
		}
		wait = out.Wait
		if wait == 0 && (len(w.pending) > 0 || w.m.cfg.ProbeInterval == 0 || len(w.servers) == 1) {
			wait = time.Hour // until an event
		}
	}
	w.idle++
	if wait > 0 {
		w.idle = 0
	}
	if w.idle > 3 {
		w.fatal("the machine returns neither an action nor a wait")
	}
	w.pass(wait)
}

// pass advances the time by wait, or until an earlier event.
func (w *world) pass(wait time.Duration) {
	until := w.now.Add(wait)
	for _, p := range w.pending {
		until = earliest(until, p.at)
	}
	if w.active != noServer {
		until = earliest(until, w.servers[w.active].until)
	}
	w.now = latest(w.now, until)
	if limit := 4*w.m.cfg.RetryMax + 2*time.Second; w.active == noServer && w.now.Sub(w.since) > limit {
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

// However the servers behave, each is tried, the machine never spins, and the number of
// attempts is bounded, also if the settings and the list change. When the servers and the list no
// longer change, the best usable server of the list is in use.
func TestMachine_RandomServers_TriesAllAndEndsAtTheBest(t *testing.T) {
	const seeds = 200
	for seed := range uint64(seeds) {
		w := newWorld(t, seed)
		w.say("seed %d", seed)
		for start := w.now; w.now.Sub(start) < 3*time.Hour; {
			w.step()
			if limit := w.allowed + maxServers*(2+int(w.now.Sub(start)/(w.m.cfg.RetryInitial/2))); w.attempts > limit {
				w.fatal("%d attempts", w.attempts)
			}
		}
		w.settled = true
		w.request(noServer, false)
		good := w.random.IntN(w.m.cfg.Servers)
		forever := w.now.Add(1000 * time.Hour)
		for i := range w.servers {
			w.servers[i] = simulated{up: i >= good, passes: i >= good, until: forever}
		}
		for end := w.now.Add(70*2*time.Minute + 10*time.Minute); w.now.Before(end); {
			w.step()
		}
		if w.active == noServer || w.active >= w.m.cfg.Servers || w.m.cfg.Failback && w.active != good {
			w.fatal("seed %d: %d is used, but %d is the best", seed, w.active, good)
		}
	}
}
