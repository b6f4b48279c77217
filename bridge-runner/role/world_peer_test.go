// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"slices"
	"time"
)

// link is the network between two pods.
type link struct {
	cut  bool // packets are lost without an answer
	to   *pod // the packets to this pod are lost, in this direction only; nil: no packets
	slow time.Duration
}

// end is one end of a connection.
type end struct {
	p, peer *process
	// other is the other end. It is nil until the other process has accepted.
	other  *end
	closed bool
	// arrival is the time at which the latest message to this end arrives. Messages are not reordered.
	arrival time.Duration
	// held are the messages to this end that the network has lost, and that TCP sends again.
	held  []func()
	heard time.Duration
	// dialer is the process that has made the connection, at the time born.
	dialer *process
	born   time.Duration
}

func (w *world) link(a, b *pod) *link {
	key := [2]int{min(a.index, b.index), max(a.index, b.index)}
	if w.links[key] == nil {
		w.links[key] = &link{}
	}
	return w.links[key]
}

// passes reports whether packets pass from one pod to another.
func (w *world) passes(from, to *pod) bool {
	l := w.link(from, to)
	return !l.cut && l.to != to && !from.lost && !to.lost
}

// transfer delivers a message to the end, in order, or keeps it until the network passes it.
func (e *end) transfer(deliver func()) {
	w := e.p.w
	if !w.passes(e.peer.pod, e.p.pod) {
		e.held = append(e.held, deliver)
		return
	}
	e.arrival = max(e.arrival, w.now+w.delay()+w.link(e.p.pod, e.peer.pod).slow)
	w.after(e.arrival-w.now, deliver)
}

// close closes the end. The other process notices it if the network passes the packet.
func (e *end) close() {
	if e.closed {
		return
	}
	e.closed = true
	if e.p.conns[e.peer] == e {
		delete(e.p.conns, e.peer)
	}
	if o := e.other; o != nil {
		o.transfer(o.closedByPeer)
	}
}

// closedByPeer processes a FIN or RST.
func (e *end) closedByPeer() {
	e.p.inputFrom(e, func() {
		current := !e.closed && e.p.conns[e.peer] == e
		e.close()
		if current {
			e.p.receive(PeerEnded{From: e.peer.id})
		}
	})
}

// post delivers an event to this end. A process that has closed its end does not read it.
func (e *end) post(event Event) {
	e.transfer(func() {
		e.p.inputFrom(e, func() {
			if e.closed || e.p.dead {
				return
			}
			e.heard = e.p.w.now
			e.p.noticeFreeze()
			if e.closed {
				return
			}
			e.p.step(event)
		})
	})
}

// to returns the process's end of the connection to a member.
func (p *process) to(id ID) *end {
	for q, e := range p.conns {
		if q.id == id {
			return e
		}
	}
	return nil
}

func (p *process) send(id ID, event Event) {
	if e := p.to(id); e != nil && e.other != nil {
		e.other.post(event)
	}
}

// heartbeat sends the announcement to all peers, and closes connections that are silent.
func (p *process) heartbeat() {
	for _, q := range p.w.processes(p.conns) {
		e := p.conns[q]
		if e == nil {
			continue // the loop has ended it
		}
		if p.w.now-e.heard >= silenceLimit {
			e.close()
			p.receive(PeerEnded{From: q.id})
			continue
		}
		p.send(q.id, PeerHeartbeat{p.id, p.m.Announcement()})
	}
}

// processes returns the peers in a fixed order, so that a seed repeats a schedule.
func (w *world) processes(conns map[*process]*end) (sorted []*process) {
	for q := range conns {
		sorted = append(sorted, q)
	}
	slices.SortFunc(sorted, func(a, b *process) int { return a.id.compare(b.id) })
	return sorted
}

func (p *process) dial(d Dial) {
	w := p.w
	i := slices.IndexFunc(w.pods, func(q *pod) bool { return q.name == d.To.Pod })
	if i < 0 { // a holder that is no member
		w.after(requestTimeout, func() { p.receive(DialFailed{d.To, false}) })
		return
	}
	target := w.pods[i]
	fail := func(after time.Duration, dead bool) {
		w.after(after, func() { p.receive(DialFailed{d.To, dead}) })
	}
	w.after(w.delay()+w.link(p.pod, target).slow, func() {
		q := target.proc
		switch {
		case p.dead:
		case !w.passes(p.pod, target) || !w.passes(target, p.pod):
			fail(requestTimeout, w.faulty.timeoutProves)
		case q == nil || target.refuses || w.refuses:
			fail(w.delay(), true)
		case q.frozen:
			p.waitAccepted(q, d)
		default:
			p.accepted(q)
		}
	})
}

// waitAccepted waits until a frozen process continues: its system completes the connection.
func (p *process) waitAccepted(q *process, d Dial) {
	over := false
	p.w.after(requestTimeout, func() {
		if !over {
			over = true
			p.receive(DialFailed{d.To, p.w.faulty.timeoutProves})
		}
	})
	q.inputFrom(&end{}, func() {
		if !over && !p.dead {
			over = true
			p.accepted(q)
		}
	})
}

// accepted connects two processes: q has accepted p's dial, and sends its hello.
func (p *process) accepted(q *process) {
	hello := q.m.Announcement()
	at, to := &end{p: p, peer: q, dialer: p, born: p.w.now}, &end{p: q, peer: p, dialer: p, born: p.w.now}
	at.other, to.other = to, at
	p.w.ends = append(p.w.ends, at, to)
	at.transfer(func() {
		p.inputFrom(at, func() {
			if p.dead || at.closed || !at.join() {
				return
			}
			answer := p.m.Announcement()
			to.transfer(func() {
				q.inputFrom(to, func() {
					if q.dead || to.closed || !to.join() {
						return
					}
					q.receive(PeerConnected{p.id, answer})
					q.heartbeat()
				})
			})
			p.receive(PeerConnected{q.id, hello})
			p.heartbeat()
		})
	})
}

// join makes the end the process's connection to its peer, in place of an earlier connection. If
// both processes dial at the same time, one of the two connections remains.
func (e *end) join() bool {
	e.p.noticeFreeze()
	if old := e.p.conns[e.peer]; old != nil {
		if old.born+requestTimeout > e.born && old.dialer.id.compare(e.dialer.id) < 0 {
			e.close()
			return false
		}
		old.close()
	}
	e.heard = e.p.w.now
	e.p.conns[e.peer] = e
	if e.p.w.pair != nil {
		e.replaceEarlier()
	}
	return true
}

// replaceEarlier closes the connection of another process with the same key that the same machine has dialled.
func (e *end) replaceEarlier() {
	for _, q := range e.p.w.processes(e.p.conns) {
		old := e.p.conns[q]
		if q != e.peer && q.pod == e.peer.pod && (old.dialer == e.p) == (e.dialer == e.p) {
			old.close()
			e.p.receive(PeerReplaced{q.id})
		}
	}
}

// healLinks sends the lost messages again, if the network passes them now.
func (w *world) healLinks() {
	open := w.ends[:0]
	for _, e := range w.ends {
		if w.passes(e.peer.pod, e.p.pod) {
			held := e.held
			e.held = nil
			for _, deliver := range held {
				e.transfer(deliver)
			}
		}
		if !e.closed || len(e.held) > 0 {
			open = append(open, e)
		}
	}
	w.ends = open
}
