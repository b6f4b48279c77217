// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const (
	duration = 15 * time.Second
	// requestTimeout bounds requests to the API server, and dials.
	requestTimeout = time.Second
	// silenceLimit is the time without a heartbeat after which an end closes a connection.
	silenceLimit = 3 * time.Second
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// faulty are faults of a driver that the checks of the world must find.
type faulty struct {
	timeoutProves  bool // a dial that is not answered counts as a proof of death
	asksNever      bool // a server is connected without the permission of the machine
	missesFreezes  bool // a freeze is not reported, and the gate is not closed
	ignoresYields  bool // Deactivate and Suspend do nothing
	invalidAlways  bool // the API server refuses no write of an old record
	forgetsDrained bool // the end of a drain is not reported
}

// world simulates pods with their processes, an API server, the connections between the processes,
// and servers that fence by client identifier, in simulated time.
type world struct {
	random  *rand.Rand // nil: all delays are the same
	now     time.Duration
	queue   events
	order   int
	pods    []*pod
	links   map[[2]int]*link
	api     api
	servers []*server // bridge b has the servers 2b and 2b+1
	pair    *Pair
	faulty  faulty
	// refuses is true if a firewall always refuses connections between the pods.
	refuses bool

	logs     bool
	log      []string
	fault    string // the first violation
	changes  []change
	connects int // to servers
	requests int // to the API server
	ends     []*end
	// handOvers are the times at which members have handed over.
	handOvers map[claim]time.Duration
}

// change is a change of a role from or to active.
type change struct {
	at    time.Duration
	id    ID
	state State
}

// pod is a place for one process at a time.
type pod struct {
	index    int
	name     string
	proc     *process      // nil if there is none
	count    int           // of processes
	lost     bool          // the node has no network
	noAPI    bool          // the API server cannot be reached from the pod
	duration time.Duration // of the Lease
	clock    uint64        // by how much the clock of the machine is fast, in seconds
	// refuses is true while a firewall refuses connections to the pod, although its process lives.
	refuses bool
	// refusedUntil is the end of the latest refusal.
	refusedUntil time.Duration
}

func (p *pod) config() Config {
	return Config{Duration: p.duration, RequestTimeout: requestTimeout}
}

type timed struct {
	at    time.Duration
	order int
	run   func()
}

type events []timed

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(timed)) }
func (q *events) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

func newWorld(members, bridges int, random *rand.Rand) *world {
	w := &world{random: random, links: map[[2]int]*link{}, handOvers: map[claim]time.Duration{}}
	w.api = api{up: true, version: 1, record: Record{UID: "1", Version: "1", Duration: duration}}
	for range 2 * bridges {
		w.servers = append(w.servers, &server{up: true, mqtt5: w.chance(2)})
	}
	for i := range members {
		w.pods = append(w.pods, &pod{index: i, name: fmt.Sprintf("pod-%d", i), duration: duration})
	}
	return w
}

// shuffle changes the order of n elements at random.
func (w *world) shuffle(n int, swap func(i, j int)) {
	if w.random != nil {
		w.random.Shuffle(n, swap)
	}
}

// chance is true in one of n cases.
func (w *world) chance(n int) bool { return w.random != nil && w.random.IntN(n) == 0 }

// delay is the time of one packet.
func (w *world) delay() time.Duration {
	if w.random == nil {
		return time.Millisecond
	}
	return 100*time.Microsecond + time.Duration(w.random.ExpFloat64()*float64(time.Millisecond))
}

func (w *world) after(d time.Duration, run func()) {
	w.order++
	heap.Push(&w.queue, timed{w.now + d, w.order, run})
}

func (w *world) say(format string, args ...any) {
	if w.logs && w.fault == "" {
		w.log = append(w.log, fmt.Sprintf("%10.4f ", w.now.Seconds())+fmt.Sprintf(format, args...))
	}
}

// violate records a violation. The log ends with it.
func (w *world) violate(format string, args ...any) {
	if w.fault == "" {
		w.say("VIOLATION: "+format, args...)
		w.fault = fmt.Sprintf(format, args...)
	}
}

// run processes all events until the time d from now.
func (w *world) run(d time.Duration) {
	end := w.now + d
	for len(w.queue) > 0 && w.queue[0].at <= end && w.fault == "" {
		e := heap.Pop(&w.queue).(timed)
		w.now = e.at
		e.run()
	}
	w.now = end
}

func (w *world) start(p *pod) {
	if p.proc != nil {
		return
	}
	p.count++
	id := ID{p.name, fmt.Sprint(p.count)}
	proc := &process{w: w, pod: p, id: id, ticked: w.now, conns: map[*process]*end{}}
	proc.runs, proc.suspended = make([]bool, len(w.servers)/2), make([]bool, len(w.servers)/2)
	proc.sessions, proc.knows = make([]bool, len(w.servers)), make([]bool, len(w.servers))
	cfg := p.config()
	cfg.Self = id
	if w.pair != nil {
		pair := *w.pair
		pair.Preferred, pair.Peer = p.index == 0, w.pods[1-p.index].name
		if pair.Born > 0 {
			pair.Born += uint64(w.now/time.Second) + p.clock
		}
		cfg.Pair = &pair
	}
	proc.m = New(cfg, epoch.Add(w.now))
	p.proc = proc
	w.say("%v starts", id)
	proc.receive(Warm{true})
	if w.pair == nil {
		proc.enter()
	}
	w.after(w.delay(), proc.tick)
}

// clocksDiffer reports whether the clocks of the machines differ.
func (w *world) clocksDiffer() bool { return w.pods[0].clock != w.pods[len(w.pods)-1].clock }

// live returns the processes that live.
func (w *world) live() (live []*process) {
	for _, p := range w.pods {
		if p.proc != nil {
			live = append(live, p.proc)
		}
	}
	return live
}

// claiming returns the processes that say that they are active.
func (w *world) claiming() (claiming []*process) {
	for _, p := range w.live() {
		if p.m.State().Claims() {
			claiming = append(claiming, p)
		}
	}
	return claiming
}

// checkSettled checks that one member is active and forwards all bridges, and that the others are
// its standbys.
func (w *world) checkSettled() *process {
	active := w.claiming()
	if len(active) != 1 {
		w.violate("%d members are active after the faults", len(active))
		return nil
	}
	for _, p := range w.live() {
		if p != active[0] && p.m.State() != Standby && (w.pair == nil || p.m.State() != Starting) {
			w.violate("%v is %s after the faults", p.id, p.m.State())
		}
	}
	if state := active[0].m.State(); state != Active {
		w.violate("%v is %s after the faults", active[0].id, state)
	}
	for i, s := range w.servers {
		if s.holder != active[0] {
			w.violate("%v has no session at server %d", active[0].id, i)
		}
	}
	return active[0]
}

// settle ends all faults, and checks that one member becomes active and stays active.
func (w *world) settle() {
	w.say("all faults end")
	w.healAll()
	w.run(12 * time.Second) // the longest drain
	w.healAll()             // starts the processes that have ended meanwhile
	longest := slices.MaxFunc(w.pods, func(a, b *pod) int { return cmp.Compare(a.duration, b.duration) }).duration
	w.run(4 * longest)
	active := w.checkSettled()
	if active == nil {
		return
	}
	changes, requests := len(w.changes), w.requests
	w.run(2 * longest)
	if w.checkSettled() != active || len(w.changes) != changes {
		w.violate("roles change without a fault")
	}
	if limit := int(2*longest/(active.pod.duration/3)) + 2; w.requests-requests > limit {
		w.violate("%d requests to the API server without a fault, want at most %d", w.requests-requests, limit)
	}
}

// fail reports the violation with the end of the log of the world, which is repeated with a log.
func fail(t *testing.T, name string, repeat func() *world) {
	t.Helper()
	w := repeat()
	for _, line := range w.log[max(0, len(w.log)-90):] {
		t.Log(line)
	}
	t.Fatalf("%s: %s", name, w.fault)
}

// actives returns the names of the pods in the order in which they became active.
func (w *world) actives() (names []string) {
	for _, c := range w.changes {
		if c.state == Active && (len(names) == 0 || names[len(names)-1] != c.id.Pod+"/"+c.id.Process) {
			names = append(names, c.id.Pod+"/"+c.id.Process)
		}
	}
	return names
}
