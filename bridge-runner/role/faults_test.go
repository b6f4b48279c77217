// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"fmt"
	"time"
)

// fault is a fault, or the end of faults of its kind.
type fault struct {
	name string
	// run applies the fault to a pod. Each fault is safe to apply in any state.
	run func(w *world, p *pod)
}

func (f fault) String() string { return f.name }

// onProcess is a fault of a pod's process.
func onProcess(name string, run func(p *process)) fault {
	return fault{name, func(_ *world, p *pod) {
		if p.proc != nil {
			run(p.proc)
		}
	}}
}

// faults are all faults. They apply to one pod, and to the links of this pod.
var faults = []fault{
	onProcess("kill", func(p *process) { p.end() }),
	{"start", func(w *world, p *pod) { w.start(p) }},
	onProcess("freeze", (*process).freeze),
	onProcess("continue", (*process).unfreeze),
	onProcess("shut down", func(p *process) { p.receive(ShutdownRequested{}) }),
	onProcess("hand over", func(p *process) { p.receive(HandOverRequested{}) }),
	{"cut the links", func(w *world, p *pod) { w.cutLinks(p, true) }},
	{"lose the packets to the pod", (*world).loseTo},
	{"heal the links", func(w *world, p *pod) { w.cutLinks(p, false) }},
	{"reset the connections", (*world).resetConnections},
	{"stop the API server", func(w *world, _ *pod) { w.api.up = false }},
	{"start the API server", func(w *world, _ *pod) { w.api.up = true; w.healAPI() }},
	{"refuse writes", func(w *world, _ *pod) { w.api.refuses = true }},
	{"accept writes", func(w *world, _ *pod) { w.api.refuses = false; w.healAPI() }},
	{"cut off from the API server", func(_ *world, p *pod) { p.noAPI = true }},
	{"reach the API server", func(w *world, p *pod) { p.noAPI = false; w.healAPI() }},
	{"delete the Lease", func(w *world, _ *pod) { w.deleteLease() }},
	{"create the Lease", func(w *world, _ *pod) { w.createLease() }},
	{"write another holder", func(w *world, _ *pod) { w.writeHolder() }},
	onProcess("find a later term", func(p *process) { p.receive(TermFound{p.w.api.record.Term + 2}) }),
	{"lose the node", func(_ *world, p *pod) { p.lost = true }},
	{"find the node", (*world).findNode},
	{"restart a server", func(w *world, p *pod) { w.restartServer(p.index%len(w.servers), time.Second) }},
	onProcess("not warm", func(p *process) { p.receive(Warm{false}) }),
	onProcess("warm", func(p *process) { p.receive(Warm{true}) }),
	{"refuse connections", func(w *world, p *pod) { p.refuses = w.pair == nil }}, // in a Pair, a refusal proves
	{"accept connections", func(w *world, p *pod) { w.accept(p) }},
	{"slow links", func(w *world, p *pod) { w.slowLinks(p, 400*time.Millisecond) }},
}

// apply applies a fault to a pod.
func (w *world) apply(f fault, p *pod) {
	w.say("fault: %s: %s", f.name, p.name)
	f.run(w, p)
}

// must applies a fault by its name.
func (w *world) must(name string, p *pod) {
	for _, f := range faults {
		if f.name == name {
			w.apply(f, p)
			return
		}
	}
	panic(fmt.Sprintf("no fault %q", name))
}

func (w *world) cutLinks(p *pod, cut bool) {
	for _, q := range w.pods {
		if q != p {
			w.link(p, q).cut = cut
			if !cut {
				w.link(p, q).to = nil
			}
		}
	}
	w.healLinks()
}

// loseTo makes the network lose all packets to a pod, and pass those from it.
func (w *world) loseTo(p *pod) {
	for _, q := range w.pods {
		if q != p {
			w.link(p, q).to = p
		}
	}
}

// accept ends the refusal of connections to a pod.
func (w *world) accept(p *pod) {
	if p.refuses {
		p.refuses, p.refusedUntil = false, w.now
	}
}

func (w *world) slowLinks(p *pod, d time.Duration) {
	for _, q := range w.pods {
		if q != p {
			w.link(p, q).slow = d
		}
	}
}

func (w *world) resetConnections(p *pod) {
	if p.proc == nil {
		return
	}
	proc := p.proc
	for _, q := range w.processes(proc.conns) {
		e := proc.conns[q]
		if e == nil {
			continue // the loop has ended it
		}
		e.closedByPeer()
		if e.other != nil {
			e.other.closedByPeer()
		}
	}
}

func (w *world) findNode(p *pod) {
	p.lost = false
	w.healLinks()
	w.healAPI()
	if p.proc != nil {
		w.healSessions(p.proc)
	}
}

// healAll ends all faults.
func (w *world) healAll() {
	w.api.up, w.api.refuses = true, false
	w.createLease()
	for _, p := range w.pods {
		w.slowLinks(p, 0)
		w.accept(p)
		w.cutLinks(p, false)
		p.noAPI = false
		w.findNode(p)
		w.start(p)
		p.proc.unfreeze()
		if p.proc != nil {
			p.proc.receive(Warm{true})
		}
		w.start(p)
	}
	w.healAPI()
	for _, s := range w.servers {
		s.up = true
	}
}
