// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"slices"
	"time"
)

// fence is a reason to doubt that this member is active.
type fence struct {
	// bridge is the bridge that waits. It is empty if the member has stepped down.
	bridge string
	// suspended is true if a session of the bridge was ended. Otherwise the bridge requests to connect.
	suspended bool
	// taken is true if a server said that another client has taken the session over.
	taken bool
	// repeated is true if sessions of the bridge have ended repeatedly while the other member of a Pair
	// could not be reached.
	repeated bool
	// seq and at are the step and the time of the event. A confirmation is a question that was asked at
	// this step or later.
	seq uint64
	at  time.Time
	// other is the other member of a Pair at the time of the event. It is zero if it was dead.
	other ID
}

func (m *Machine) decideActive() {
	m.adoptTerm()
	switch {
	case m.own().less(m.rival()):
		m.yield()
		return
	case m.shutdown:
		m.drain(ID{})
		return
	}
	if m.cfg.Pair == nil {
		m.renew()
	} else {
		m.decideActivePair()
	}
	m.nameSuccessor()
	m.confirmFences()
}

// nameSuccessor chooses the standby that may become active by the proof of this member's death
// alone. An earlier successor that may be alive could do so, too, until it has not heard of this
// member for the duration of the Lease.
func (m *Machine) nameSuccessor() {
	if i := m.find(m.successor); i >= 0 && !m.isDead(m.successor) {
		p := m.members[i]
		if p.connected || m.now.Sub(p.endedAt) < 2*m.longerDuration(p) {
			return
		}
	}
	m.successor = ID{}
	for _, p := range m.others() {
		if p.connected && p.said.Warm {
			m.successor = p.id
			return
		}
	}
}

// fence processes the end of a session of a bridge. The server may have failed, another member may
// have become active, or another client may use the same client identifier.
func (m *Machine) fence(e SessionEnded) {
	// An end soon after a confirmation without an answer may be the work of an unknown process.
	taken := e.Taken || !m.valid() && m.now.Before(m.aloneUntil)
	f := fence{bridge: e.Bridge, suspended: true, taken: taken, seq: m.seq, at: m.now, other: m.other().id}
	f.repeated = m.state.Claims() && !taken && m.endsRepeatedly(e.Bridge)
	// The other member of a Pair may take over by its timeout at the same time.
	timed := m.reason == TimedOut || m.now.Sub(m.retaken.latest) < m.cfg.Heartbeat()
	if !m.state.Claims() || !taken && !f.repeated && (m.permits() && !timed || m.confirmed(f)) {
		return
	}
	m.permittedUntil = time.Time{}
	m.doubtBridge(f)
	m.do(Suspend{e.Bridge})
}

// requestConnect processes the request for a CONNECT packet, which would end the session of another
// member that has become active. A bridge that is suspended requests it again when it is resumed.
func (m *Machine) requestConnect(e ConnectRequested) {
	switch {
	case !m.state.Claims() || m.suspended(e.Bridge):
	case m.permits():
		m.do(Permit(e))
	default:
		m.doubtBridge(fence{bridge: e.Bridge, seq: m.seq, at: m.now, other: m.other().id})
	}
}

// suspended reports whether a bridge is suspended.
func (m *Machine) suspended(bridge string) bool {
	return slices.ContainsFunc(m.fences, func(f fence) bool { return f.suspended && f.bridge == bridge })
}

// doubtBridge adds a fence, or joins it with an earlier fence of the bridge.
func (m *Machine) doubtBridge(f fence) {
	i := slices.IndexFunc(m.fences, func(g fence) bool { return g.bridge == f.bridge })
	if i < 0 {
		m.fences = append(m.fences, f)
		return
	}
	g := &m.fences[i]
	if !f.suspended {
		f.at = g.at
	}
	f.suspended, f.taken, f.repeated, f.other = f.suspended || g.suspended, f.taken || g.taken, f.repeated || g.repeated, g.other
	*g = f
}

// permits reports whether no other member can have become active, without a question.
func (m *Machine) permits() bool {
	lease := m.holds() && !m.now.Add(m.cfg.Heartbeat()).After(m.lease.validUntil)
	return lease || m.now.Before(m.permittedUntil)
}

// receiveQuery answers a query. The other member may connect because of the answer: this member
// promises not to become active by itself for longer than that permission lasts. Of two members that
// have stepped down, the member with the lower claim promises. The answer names the highest claim that this
// member knows: the asking member may not know it, for example if it cannot read a Lease that was created
// again.
func (m *Machine) receiveQuery(e PeerAsked) {
	m.know(e.From).heardAt = m.now
	if m.state.waits() || m.state == SteppedDown && m.own().less(m.know(e.From).claim()) {
		m.promise()
	}
	rival := m.rival()
	if rival.id == e.From {
		rival = claim{}
	}
	m.do(Answer{e.From, e.Asked, rival.id, rival.term})
}

// longestHeartbeat is the longest [Config.Heartbeat]. It does not depend on the duration, so that members with
// different durations do not treat each other as silent.
const longestHeartbeat = time.Second

// promise begins a promise. It lasts longer than the permission of each member, whatever its duration is.
func (m *Machine) promise() { m.promisedUntil = m.now.Add(2 * longestHeartbeat) }

// promised reports whether a promise holds.
func (m *Machine) promised() bool { return m.now.Before(m.promisedUntil) }

func (m *Machine) confirmFences() {
	if slices.ContainsFunc(m.fences, m.retakes) {
		m.do(Deactivate{})
		m.activate(m.term, Confirmed)
		return
	}
	m.fences = slices.DeleteFunc(m.fences, func(f fence) bool {
		if !m.confirmed(f) {
			return false
		}
		if f.suspended {
			m.resumed(f)
			m.do(Resume{f.bridge})
		} else {
			m.do(Permit{f.bridge})
		}
		return true
	})
	for _, f := range m.fences {
		m.askAbout(f)
	}
}

// askAbout asks the API server and the other members whether another member has become active.
func (m *Machine) askAbout(f fence) {
	m.call()
	m.query(f.seq)
	if m.lease.confirmed < f.seq && !m.lease.failing {
		m.lease.writeAt = m.now
	}
	if m.cfg.Pair == nil {
		m.renew()
	}
}

// confirmed reports whether no other member has become active before the event.
func (m *Machine) confirmed(f fence) bool {
	if m.holds() && m.lease.confirmed >= f.seq {
		return true
	}
	answers, silent := 0, 0
	asked := m.now
	for _, p := range m.others() {
		if !m.hasAnswered(p, f.seq) {
			silent++
			continue
		}
		answers++
		if p.answeredAt.Before(asked) {
			asked = p.answeredAt
		}
	}
	switch {
	case silent > 0:
		return m.cfg.Pair != nil && !f.taken && !m.peerMayHaveTakenOver(f) && m.hasPaused(f) && m.hasCalled(f)
	case answers > 0:
		m.permittedUntil = asked.Add(m.cfg.Heartbeat())
		return true
	}
	return m.confirmedAlone(f)
}

// confirmedAlone reports whether the member is confirmed although no other member that it knows is
// alive. A process that it does not know may have acquired the Lease, so that the API server has the
// first word.
func (m *Machine) confirmedAlone(f fence) bool {
	unanswered := m.cfg.Pair != nil || m.lease.unanswered >= f.seq || m.lease.failing && f.bridge != ""
	// If another client uses the same client identifier, waiting bounds the rate of sessions that end
	// each other.
	if !unanswered || f.taken && m.now.Sub(f.at) < m.cfg.Duration {
		return false
	}
	m.permittedUntil = m.now.Add(m.cfg.Heartbeat())
	if m.cfg.Pair == nil { // a new process of the peer is not active before it has asked this member
		m.aloneUntil = m.now.Add(m.cfg.Duration)
	}
	return true
}

// freeze processes a time in which the process did not run.
func (m *Machine) freeze() {
	switch {
	case m.state.Claims():
		m.stepDown(fence{seq: m.seq, at: m.now})
	case m.state == SteppedDown:
		m.doubt.seq, m.doubt.at = m.seq, m.now
	default:
		// A hand-over that waits in a connection may be void: the sender may have become active again.
		m.do(Disconnect{})
		m.named, m.startedAt, m.lease.readSince = naming{}, m.now, time.Time{}
		for _, p := range m.members {
			p.connected, p.endedAt, p.dialAt = false, m.now, m.now
		}
	}
}

// stepDown ends all sessions until the doubt is resolved.
func (m *Machine) stepDown(doubt fence) {
	m.do(Deactivate{})
	m.state, m.fences, m.successor, m.doubt = SteppedDown, nil, ID{}, doubt
}

func (m *Machine) decideSteppedDown() {
	m.adoptTerm()
	switch {
	case m.shutdown:
		m.leave()
	case m.own().less(m.rival()):
		m.endClaim()
		m.state = Standby
	case !m.promised() && (m.confirmed(m.doubt) || m.retake(m.doubt)):
		m.activate(m.term, Confirmed)
	default:
		m.askAbout(m.doubt)
	}
}
