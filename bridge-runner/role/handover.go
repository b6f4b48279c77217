// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"slices"
	"time"
)

// handover is the progress of the state HandingOver.
type handover struct {
	// asker is the standby that has asked. It is zero if a user or the end of the process is the reason.
	asker ID
	// drained is true if all accepted messages are acknowledged, or the time for this is over.
	drained bool
	// until is the end of the wait for the claim of the member that was handed over to. It is zero before
	// the hand-over. It is used only if the process ends.
	until time.Time
}

// handed is a hand-over.
type handed struct {
	to   ID
	term Term
	// seq is the step at which the message was sent.
	seq uint64
	// lease is the UID of the Lease at the hand-over, empty if it was not known. The terms of another Lease
	// have no order with term.
	lease string
}

// askedToHandOver processes a standby's request. The standby asks because the Lease has expired. If
// it has not, the standby has read an old record.
func (m *Machine) askedToHandOver(from ID) {
	if m.state == Active && !m.valid() {
		m.drain(from)
	}
}

func (m *Machine) drain(asker ID) {
	m.state, m.handover = HandingOver, handover{asker: asker}
	m.do(Drain{})
}

// candidates returns the members to hand over to, connected or not. Only the successor or a member that has
// asked is possible: another member could not exclude that the successor takes over, too.
func (m *Machine) candidates(asker ID) (out []*member) {
	for _, id := range []ID{asker, m.successor} {
		if i := m.find(id); i >= 0 {
			if p := m.members[i]; !p.dead && (id == asker || p.said.Warm) {
				out = append(out, p)
			}
		}
	}
	return out
}

// target returns the member to hand over to, or nil.
func (m *Machine) target(asker ID) *member {
	for _, p := range m.candidates(asker) {
		if p.connected {
			return p
		}
	}
	return nil
}

// targetReturns reports whether a process that ends has no member to hand over to because its connection has
// ended a moment ago. If both members have dialled, the other one closes a connection before this member knows
// the next connection. A process that does not end continues to forward instead.
func (m *Machine) targetReturns(asker ID) bool {
	if !m.shutdown || m.target(asker) != nil {
		return false
	}
	return slices.ContainsFunc(m.candidates(asker), func(p *member) bool {
		return m.now.Before(p.endedAt.Add(m.cfg.retry())) // none of them is connected
	})
}

func (m *Machine) decideHandingOver() {
	switch {
	case !m.handover.until.IsZero():
		m.repeatHandOver()
		m.awaitClaim()
	case m.own().less(m.rival()):
		m.yield()
	case m.handover.drained && len(m.fences) > 0: // another member may be active
		m.stepDown(m.fences[0])
	case m.handover.drained && !m.targetReturns(m.handover.asker):
		m.finishHandOver()
	default:
		m.confirmFences()
		if m.cfg.Pair == nil {
			m.renew()
		}
		m.nameSuccessor()
		if m.handover.drained {
			m.call()
		}
	}
}

// finishHandOver hands over after the drain. Without a standby, the process that ends releases the
// Lease, and other processes continue.
func (m *Machine) finishHandOver() {
	p := m.target(m.handover.asker)
	if p == nil && !m.shutdown {
		m.state, m.reason = Active, Confirmed
		m.do(Activate{m.term})
		return
	}
	m.do(Deactivate{})
	if p == nil {
		m.endAndLeave(m.successor)
		return
	}
	m.handed = handed{p.id, m.latestTerm().after(1), m.seq, m.lease.record.UID}
	m.promise()
	m.do(HandOver{p.id, m.handed.term})
	if m.shutdown {
		m.handover.until = m.now.Add(m.cfg.retry())
		return
	}
	m.endClaim()
	m.state = Standby
}

// endAndLeave ends the claim of a process that ends. The standby may become active without the Lease,
// even if it is not connected. While it may be alive, the Lease is not released: a third process
// would acquire it.
func (m *Machine) endAndLeave(standby ID) {
	i := m.find(standby)
	m.endClaim()
	m.state = Standby
	m.lease.released = i >= 0 && !m.isDead(standby) && (!m.members[i].connected || standby == m.handed.to)
}

// awaitClaim waits until the other member is active, and then ends the process. The other member may
// not claim, because its process has ended, or because the message is lost. If the connection has ended, a
// Dial proves that the process has ended, or the hand-over is repeated on the next connection.
func (m *Machine) awaitClaim() {
	switch p := m.know(m.handed.to); {
	case p.said.State.Claims() && !p.said.Term.less(m.handed.term):
		m.stop()
	case p.dead || !m.now.Before(m.handover.until):
		m.endAndLeave(m.handed.to)
	case !p.connected:
		m.call()
	}
}

// repeatHandOver hands over again on the next connection, if no member has become active since: the receiver
// trusts the knowledge of this member about the sessions. The message may be lost with its connection, also if
// the network and both processes work: if both members have dialled, they close one connection, and do not
// process the messages that wait in it. A receiver that has followed the message ignores the next one.
func (m *Machine) repeatHandOver() {
	i := m.find(m.handed.to)
	if i < 0 || m.handed.to == (ID{}) {
		return
	}
	p := m.members[i]
	lost := p.connected && p.connectedSeq > m.handed.seq && p.said.State.waits()
	sameLease := m.handed.lease == "" || m.handed.lease == m.lease.record.UID
	if lost && sameLease && !m.handed.term.less(m.latestTerm()) {
		m.handed.seq = m.seq
		m.do(HandOver{p.id, m.handed.term})
	}
}

// receiveHandOver makes the member active. The sender has ended its sessions. The message may arrive twice: after
// a freeze, a message that this member has followed before does not confirm its claim.
func (m *Machine) receiveHandOver(e PeerHandedOver) {
	latest := m.rival().term.later(m.yielded)
	if m.state == SteppedDown {
		latest = latest.later(m.term)
	}
	if !m.shutdown && (m.state.waits() || m.state == SteppedDown) && latest.less(e.Term) {
		m.activate(e.Term, HandedOver)
	}
}

// leave ends a process that forwards nothing. It releases the Lease, so that no other process has to
// wait until it expires.
func (m *Machine) leave() {
	l := &m.lease
	switch {
	case l.writing != nil:
	case l.record.Holder == m.cfg.Self && !l.released:
		m.write(Release{l.record})
	default:
		m.stop()
	}
}

func (m *Machine) stop() {
	m.state = Stopped
	m.do(Exit{})
}
