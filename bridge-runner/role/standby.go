// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"slices"
	"time"
)

// request is a request to hand over.
type request struct {
	// record is the record that has expired, by the time of its change. It is zero if there is no request.
	record time.Time
	at     time.Time
	// of is the claim of the member that was asked.
	of claim
	// seq is the step at which the message was sent.
	seq uint64
}

// decideWaiting decides in the states Starting and Standby.
func (m *Machine) decideWaiting() {
	if m.shutdown {
		m.leave()
		return
	}
	active := m.activePeer()
	if m.lease.known || active != nil {
		m.state = Standby
	}
	m.call()
	m.repeatHandOver()
	switch {
	case m.cfg.Pair != nil:
		m.decidePair(active)
	case active != nil:
		m.watch(active)
	case m.hasProof():
		m.activate(m.latestTerm().after(1), PeerDead)
	case m.vacant() || m.provenExpired():
		m.acquire()
	}
}

// watch decides while the active member is connected. If it cannot renew the Lease, and this member can
// write it, the member asks it to hand over. If this has no effect for the duration of the Lease, the
// member takes over. The member asks once for each record: if no member can write the Lease, two members
// would otherwise hand over to each other without an end. On the next connection it asks the same claim again,
// because the message may be lost with its connection.
func (m *Machine) watch(active *member) {
	l := &m.lease
	switch {
	case !m.warm || !m.provenExpired():
	case m.asked.record.Equal(l.changedAt):
		lost := m.asked.of == active.claim() && m.asked.seq < active.connectedSeq
		switch {
		case m.now.Sub(m.asked.at) >= m.cfg.Duration:
			m.acquire()
		case lost:
			m.asked.seq = m.seq
			m.do(AskHandOver{active.id})
		}
	case !l.writable.Equal(l.changedAt):
		if m.mayWrite() {
			m.write(Join{l.record})
		}
	default:
		m.asked = request{l.changedAt, m.now, active.claim(), m.seq}
		m.do(AskHandOver{active.id})
	}
}

// hasProof reports whether the member may become active without the Lease: the active member is
// dead, and no other member can have become active after it.
func (m *Machine) hasProof() bool {
	latest := m.rival().term.later(m.yielded)
	switch {
	case !m.warm:
		return false
	case m.isDead(m.named.by) && m.now.Sub(m.named.at) < m.cfg.Duration && latest.less(m.named.term):
		return m.othersWait(m.named.by)
	case m.isDead(m.handed.to) && latest.less(m.handed.term):
		return m.othersWait(m.handed.to)
	}
	return false
}

// othersWait reports whether no third member can have acquired the Lease after a member that is
// dead. While the Lease is in that member's name and has not expired, only a later process of its pod
// can. The members that can must have answered since.
func (m *Machine) othersWait(dead ID) bool {
	r := m.lease.record
	held := m.lease.known && !m.expired() && (r.Holder == dead || r.Holder == m.cfg.Self)
	since := m.know(dead).deadSeq
	m.query(since)
	return !slices.ContainsFunc(m.others(), func(p *member) bool {
		return !m.hasAnswered(p, since) && (!held || p.id.Pod == dead.Pod)
	})
}

// vacant reports whether the Lease has no holder that may be alive, and no successor can be about
// to take over. A refused connection to a holder that this member could never reach counts only if the
// holder has missed a renewal, too.
func (m *Machine) vacant() bool {
	holder := m.lease.record.Holder
	switch {
	case !m.lease.known:
		return false
	case holder == ID{}:
		return true
	case holder == m.cfg.Self: // an acquisition that seemed to fail
		return m.yielded.less(m.lease.record.term())
	case !m.isDead(holder) && (!m.know(holder).refuses || !m.missed()):
		return false
	}
	for _, p := range m.others() {
		if !p.connected && !p.refuses || p.said.Warm {
			return false
		}
	}
	return true
}

func (m *Machine) acquire() {
	if m.mayWrite() && !m.promised() {
		m.state = TakingOver
		m.write(Acquire{m.lease.record, m.nextTerm()})
	}
}

// decideTakingOver waits for the end of the write.
func (m *Machine) decideTakingOver() {
	switch {
	case !m.shutdown && m.hasProof():
		m.activate(m.latestTerm().after(1), PeerDead)
	case m.lease.writing != nil:
	case m.lease.result != Written || m.lease.record.Holder != m.cfg.Self:
		m.state = Standby
	case m.shutdown || (claim{m.lease.record.term(), m.cfg.Self}).less(m.rival()):
		m.state, m.yielded = Standby, m.lease.record.term()
	case m.lease.record.term().less(m.latestTerm()): // the Lease was deleted and created again
		m.write(Acquire{m.lease.record, m.nextTerm()})
	default:
		m.activate(m.lease.record.term(), Acquired)
	}
}

// activate makes the member active. The driver connects the bridges to their servers, which ends
// the sessions of the earlier active member.
func (m *Machine) activate(term Term, reason Reason) {
	m.state, m.term, m.reason = Active, term, reason
	m.activations, m.met = m.activations+1, m.other()
	m.successor, m.handed, m.named, m.fences = ID{}, handed{}, naming{}, nil
	m.lease.writeAt, m.lease.released = m.now, false
	if m.valid() {
		m.lease.writeAt = m.lease.validUntil.Add(m.cfg.renewal() - m.cfg.Duration)
	}
	m.permittedUntil = m.now.Add(m.cfg.Heartbeat())
	m.do(Activate{term})
}

// yield ends the member's claim, because another member has a higher claim.
func (m *Machine) yield() {
	m.do(Deactivate{})
	m.endClaim()
	m.state = Standby
}

func (m *Machine) endClaim() {
	m.yielded, m.fences, m.successor = m.yielded.later(m.term), nil, ID{}
}
