// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"strconv"
	"time"
)

// server is an MQTT server with the session of one client identifier.
type server struct {
	up     bool
	mqtt5  bool
	holder *process
	// claim is the highest claim of a session, and claimant the process that has made it.
	claim    claim
	claimant *process
	// since is the time of the latest session.
	since time.Duration
}

func bridgeIndex(bridge string) int {
	b, err := strconv.Atoi(bridge)
	if err != nil {
		panic(err)
	}
	return b
}

// reconnect requests the connections of the bridges that run and have no session.
func (p *process) reconnect() {
	for b := range p.runs {
		p.runs[b] = p.started && !p.suspended[b]
		if !p.runs[b] || p.sessions[2*b] && p.sessions[2*b+1] {
			continue
		}
		if p.w.faulty.asksNever {
			p.connectBridge(b)
			continue
		}
		p.step(ConnectRequested{strconv.Itoa(b)})
	}
}

// connectBridge writes the CONNECT packets of a bridge.
func (p *process) connectBridge(b int) {
	for i := 2 * b; i < 2*b+2; i++ {
		if p.runs[b] && !p.sessions[i] {
			p.w.after(p.w.delay(), func() { p.connect(i) })
		}
	}
}

// connect is the arrival of a CONNECT at a server. The server ends the older session.
func (p *process) connect(i int) {
	w, s := p.w, p.w.servers[i]
	if p.dead || !p.runs[i/2] || p.sessions[i] || !s.up || p.pod.lost || !p.open() {
		return
	}
	own := p.m.own()
	if s.superior(p) {
		w.violate("%v connects to server %d with claim %v after claim %v", p.id, i, own, s.claim)
	}
	p.checkResumed(i)
	old := s.holder
	s.holder, s.claim, s.claimant, s.since, p.sessions[i], p.knows[i] = p, own, p, w.now, true, true
	w.connects++
	w.say("%v has a session at server %d", p.id, i)
	if old != nil {
		w.notifyEnd(old, i, s.mqtt5)
	}
	w.after(overlap, func() { w.checkOverlap(p, i/2) })
}

// overlap bounds the time for which an earlier active member forwards a bridge after the later member
// has its sessions: the time in which it receives the end of its own.
const overlap = 100 * time.Millisecond

// checkOverlap checks that no other process believes to have a session of a bridge, if p has all.
func (w *world) checkOverlap(p *process, b int) {
	created := w.api.created > 0 // a member that the next Lease does not list yet is an unknown process
	if created || w.servers[2*b].holder != p || w.servers[2*b+1].holder != p {
		return
	}
	for _, q := range w.live() {
		if q != p && !q.frozen && !q.pod.lost && (q.sessions[2*b] || q.sessions[2*b+1]) && !w.misled(p, q) {
			w.violate("%v forwards bridge %d for more than %v after %v", q.id, b, overlap, p.id)
		}
	}
}

// checkResumed checks that no other process has used a session whose state p knows from earlier: a packet identifier
// may be in use for another message, and the messages that p holds may be acknowledged.
func (p *process) checkResumed(i int) {
	s := p.w.servers[i]
	created := p.w.api.created > 0 // the claims of two Leases have no order
	if !created && p.knows[i] && s.claimant != p && !p.w.misled(p, s.claimant) {
		p.w.violate("%v continues its session at server %d, which %v has used since", p.id, i, s.claimant.id)
	}
}

// superior reports whether a process that p knows has had a session with a higher claim, and still has
// the claim. A process that is cut off from the API server cannot know a process that starts later. The claims
// of two Leases, and of members that are cut from each other and whose clocks differ, have no order.
func (s *server) superior(p *process) bool {
	c := s.claimant
	ordered := p.w.api.created == 0 && !p.w.clocksDiffer()
	claims := ordered && c != nil && !c.dead && (c.m.State().Claims() || c.m.State() == SteppedDown)
	return claims && p.m.find(c.id) >= 0 && p.m.own().less(s.claim) && !p.w.misled(p, c)
}

// misled reports whether a firewall may mislead the members, so that two are active for a time: it refuses
// connections to a process that lives, or has done so for less time than a Lease is valid; or one of two
// processes still has the refusal as the proof of the other's death.
func (w *world) misled(p, q *process) bool {
	ever := false
	for _, pod := range w.pods {
		refused := pod.refusedUntil > 0
		if w.refuses || pod.refuses || refused && w.now < pod.refusedUntil+duration {
			return true
		}
		ever = ever || refused
	}
	return ever && (p.m.isDead(q.id) || q.m.isDead(p.id))
}

// notifyEnd notifies a process of the end of its session.
func (w *world) notifyEnd(p *process, i int, taken bool) {
	w.after(w.delay(), func() {
		if p.pod.lost {
			return // see healSessions
		}
		p.input(func() {
			p.noticeFreeze()
			if !p.sessions[i] || w.servers[i].holder == p {
				return
			}
			p.sessions[i] = false
			p.step(SessionEnded{Bridge: strconv.Itoa(i / 2), Taken: taken})
			w.checkEnded(p, i/2)
			p.reconnect()
		})
	})
}

// healSessions notifies a process of the sessions that have ended while its node was lost.
func (w *world) healSessions(p *process) {
	for i, s := range w.servers {
		if p.sessions[i] && s.holder != p {
			w.notifyEnd(p, i, false)
		}
	}
}

// checkHandOver checks that no other process has had a session since the sender of a hand-over has ended its
// own: the receiver trusts the sender's knowledge about the sessions. A third member may take over at the same
// time.
func (w *world) checkHandOver(p *process, e PeerHandedOver) {
	for i, s := range w.servers {
		if s.claimant != nil && s.claimant.id != e.From && s.since > w.handOvers[claim{e.Term, e.From}] && w.now-s.since > time.Second {
			w.violate("%v accepts the hand-over %v by %v, although %v has had a session at server %d since", p.id, e.Term, e.From, s.claimant.id, i)
		}
	}
}

// checkEnded checks that a process whose session was ended by a higher claim stops the bridge at
// once.
func (w *world) checkEnded(p *process, b int) {
	for _, s := range w.servers[2*b : 2*b+2] {
		if !p.dead && !p.frozen && p.runs[b] && s.holder != p && s.superior(p) {
			w.violate("%v continues bridge %d after claim %v", p.id, b, s.claim)
		}
	}
}

// checkWrites checks that a process that continues writes nothing to the sessions that it believes to
// have, if a process with a higher claim has taken over.
func (p *process) checkWrites() {
	for i, s := range p.w.servers {
		if p.open() && p.sessions[i] && s.superior(p) {
			p.w.violate("%v writes to server %d after claim %v", p.id, i, s.claim)
		}
	}
}

// stopBridge ends the sessions of a bridge.
func (p *process) stopBridge(b int) {
	p.runs[b] = false
	for i := 2 * b; i < 2*b+2; i++ {
		p.sessions[i] = false
		if s := p.w.servers[i]; s.holder == p && !p.pod.lost {
			s.holder = nil
		}
	}
}

// restartServer ends the session of a server, which is up again after a while.
func (w *world) restartServer(i int, down time.Duration) {
	s := w.servers[i]
	w.say("server %d restarts", i)
	old := s.holder
	s.up, s.holder = false, nil
	if old != nil {
		w.notifyEnd(old, i, false)
	}
	w.after(down, func() { s.up = true })
}
