// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"fmt"
	"slices"
	"time"
)

// process is a driver with its machine.
type process struct {
	w      *world
	pod    *pod
	id     ID
	m      *Machine
	dead   bool
	frozen bool
	// frozenAt is the start of the latest freeze.
	frozenAt time.Duration
	// ticked is the time of the latest tick.
	ticked time.Duration
	// pending are the inputs that wait until the process continues.
	pending []pending
	conns   map[*process]*end
	// started is true between Activate and Deactivate.
	started bool
	// starts is true if bridges are to be connected after the actions of a step.
	starts bool
	// runs and suspended are true for bridges that are running, and that are suspended.
	runs, suspended []bool
	// sessions are true for servers at which the process has a session, as far as it knows.
	sessions []bool
	// knows are true for servers whose session the process has used since its bridges have started.
	knows []bool
	// entered is true when the process has observed its entry in the Lease.
	entered bool
	// watched is the time of the latest event of the watch. drains counts drains.
	watched time.Duration
	drains  int
}

// pending is an input of a frozen process. from is its connection, nil if there is none.
type pending struct {
	from *end
	fn   func()
}

// input runs fn in the process, now or when it continues.
func (p *process) input(fn func()) { p.inputFrom(nil, fn) }

// inputFrom is like input. The inputs of a connection stay in order.
func (p *process) inputFrom(from *end, fn func()) {
	switch {
	case p.dead:
	case p.frozen:
		p.pending = append(p.pending, pending{from, fn})
	default:
		fn()
	}
}

// receive passes an event to the machine. The driver notices a freeze before any other event.
func (p *process) receive(e Event) {
	p.input(func() {
		p.noticeFreeze()
		p.step(e)
	})
}

// open reports whether the gate is open: a process that was frozen writes nothing before it has
// noticed this.
func (p *process) open() bool {
	cfg := p.pod.config()
	return p.w.faulty.missesFreezes || p.w.now-p.ticked < cfg.FreezeLimit()
}

func (p *process) noticeFreeze() {
	if !p.open() {
		p.ticked = p.w.now
		p.step(Froze{})
		p.checkWrites()
	}
}

func (p *process) tick() {
	if p.dead {
		return
	}
	cfg := p.pod.config()
	p.input(func() {
		p.noticeFreeze()
		p.ticked = p.w.now
		p.step(Tick{})
		p.heartbeat()
		p.reconnect()
		p.w.after(cfg.Heartbeat(), p.tick)
	})
}

func (p *process) step(e Event) {
	if p.dead {
		return
	}
	before := p.m.State()
	actions := p.m.Step(e, epoch.Add(p.w.now))
	after := p.m.State()
	if e, ok := e.(PeerHandedOver); ok && before != after && after == Active {
		p.w.checkHandOver(p, e)
	}
	p.logStep(e, before, actions)
	if before != after && (after == Active || before.Claims() && !after.Claims()) {
		p.w.changes = append(p.w.changes, change{p.w.now, p.id, after})
	}
	for _, a := range actions {
		p.carryOut(a)
	}
	if p.starts {
		p.starts = false
		p.reconnect()
	}
	if !after.Claims() && p.started && !p.w.faulty.ignoresYields {
		p.w.violate("%v is %s and has not been deactivated", p.id, after)
	}
}

// logStep adds a step to the log, if it has an effect or a cause.
func (p *process) logStep(e Event, before State, actions []Action) {
	if !p.w.logs {
		return
	}
	text := ""
	for _, a := range actions {
		text += fmt.Sprintf(" %T%+v", a, a)
	}
	switch e.(type) {
	case Tick, PeerHeartbeat:
		if text == "" {
			return
		}
	}
	p.w.say("%v %T%+v: %s -> %s%s", p.id, e, e, before, p.m.State(), text)
}

func (p *process) carryOut(a Action) {
	switch a := a.(type) {
	case ReadLease:
		p.w.api.read(p, a)
	case Acquire, Renew, Release, Join:
		p.w.api.write(p, a)
	case Dial:
		p.dial(a)
	case Query:
		p.send(a.To, PeerAsked{p.id, a.Asked})
	case Disconnect:
		for _, q := range p.w.processes(p.conns) {
			p.conns[q].close()
		}
	case Announce:
		p.heartbeat()
	case Activate:
		p.started, p.starts = true, true
	case Deactivate:
		p.deactivate()
	case Suspend:
		p.suspend(a.Bridge)
	case Resume:
		p.suspended[bridgeIndex(a.Bridge)] = false
		p.starts = true
	case Permit:
		p.connectBridge(bridgeIndex(a.Bridge))
	case Answer:
		p.send(a.From, PeerAnswered{p.id, p.m.Announcement(), a.Asked, a.Rival, a.RivalTerm})
	case Drain:
		p.drain()
	case HandOver:
		if c := (claim{a.Term, p.id}); p.w.handOvers[c] == 0 {
			p.w.handOvers[c] = p.w.now
		}
		p.send(a.To, PeerHandedOver{p.id, a.Term})
	case AskHandOver:
		p.send(a.To, PeerAsksHandOver{p.id})
	case Exit:
		for _, q := range p.w.processes(p.conns) {
			p.send(q.id, PeerGoodbye{p.id})
		}
		p.end()
	}
}

func (p *process) deactivate() {
	if p.w.faulty.ignoresYields {
		return
	}
	p.started = false
	for b := range p.runs {
		p.stopBridge(b)
		p.suspended[b] = false
	}
	clear(p.knows)
}

func (p *process) suspend(bridge string) {
	b := bridgeIndex(bridge)
	p.suspended[b] = true
	p.stopBridge(b)
}

func (p *process) drain() {
	p.drains++
	drains := p.drains
	if p.w.faulty.forgetsDrained {
		return
	}
	d := 5 * time.Millisecond
	if p.w.chance(4) {
		d = 10 * time.Second
	}
	p.w.after(d, func() {
		if drains == p.drains {
			p.receive(Drained{})
		}
	})
}

// end ends the process. The kernel closes its connections.
func (p *process) end() {
	p.w.say("%v ends", p.id)
	p.dead, p.pod.proc = true, nil
	p.pending = nil
	for _, q := range p.w.processes(p.conns) {
		p.conns[q].close()
	}
	for b := range p.runs {
		p.stopBridge(b)
	}
}

func (p *process) freeze() {
	p.w.say("%v freezes", p.id)
	p.frozen, p.frozenAt = true, p.w.now
}

// unfreeze continues the process: it reads all inputs that have arrived meanwhile.
func (p *process) unfreeze() {
	if !p.frozen {
		return
	}
	p.w.say("%v continues", p.id)
	p.frozen = false
	if cfg := p.pod.config(); p.w.now-p.frozenAt >= cfg.FreezeLimit()+cfg.Heartbeat() {
		p.checkWrites()
	}
	waiting := p.pending
	p.pending = nil
	// Each connection has a goroutine of its own, which reads when it likes.
	order := make([]*end, len(waiting))
	for i, in := range waiting {
		order[i] = in.from
	}
	p.w.shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for _, from := range order {
		i := slices.IndexFunc(waiting, func(in pending) bool { return in.from == from })
		p.inputFrom(from, waiting[i].fn)
		waiting = slices.Delete(waiting, i, i+1)
	}
}
