// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import "slices"

// isDead reports whether it is proven that a process has ended.
func (m *Machine) isDead(id ID) bool {
	if id.Pod == m.cfg.Self.Pod {
		return id != m.cfg.Self // an earlier process of this pod
	}
	i := m.find(id)
	return i >= 0 && m.members[i].dead
}

// Dead reports whether it is proven that the process of another member has ended.
func (m *Machine) Dead(id ID) bool { return m.isDead(id) }

// bury records the proof that a process has ended. byRefusal is true if the proof is a refused connection.
func (m *Machine) bury(p *member, byRefusal bool) {
	if !p.dead {
		p.dead, p.deadSeq, p.connected, p.byRefusal = true, m.seq, false, byRefusal
		p.deadTerm = m.latestTerm().Lease
	}
	p.byRefusal = p.byRefusal && byRefusal
	p.deadAt = m.now
}

// mayBeOld reports whether a proof of a death may be older than the freeze after which this member of a Pair has
// stepped down. since is the step at which the connection or the Dial that proves it began. Another process of the
// other machine may have become active since, so that the member dials again. With a Lease, the API server has the
// first word.
func (m *Machine) mayBeOld(since uint64) bool {
	return m.cfg.Pair != nil && m.state == SteppedDown && since < m.doubt.seq
}

// disprove treats the holder of the Lease as alive again if it has written the Lease after a refused
// connection has proven its death. A write that is observed soon afterwards may be older, unless another
// member has held the Lease in between.
func (m *Machine) disprove() {
	i := m.find(m.lease.record.Holder)
	if i < 0 {
		return
	}
	p := m.members[i]
	later := m.now.Sub(p.deadAt) > m.cfg.renewal() || m.lease.record.Term > p.deadTerm+1
	if p.dead && p.byRefusal && later {
		p.dead, p.refusalProves = false, false
	}
}

// buryReplaced records that the processes of a pod have ended that are not connected, if another process of the
// pod is. While two are connected, or one was replaced, it is not known which of them is the later one: a hello may be
// read late.
func (m *Machine) buryReplaced(pod string) {
	connected := m.connectedProcess(pod) != nil
	for _, p := range m.members {
		if p.id.Pod == pod && connected && !p.connected && !p.replaced {
			m.bury(p, false)
			p.dialing = false
		}
	}
}

// connectedProcess returns a process of a pod that is connected, or nil.
func (m *Machine) connectedProcess(pod string) *member {
	i := slices.IndexFunc(m.members, func(p *member) bool { return p.id.Pod == pod && p.connected })
	if i < 0 {
		return nil
	}
	return m.members[i]
}

// askReplacing asks the process of a pod whose connection has replaced the one of another process. An answer
// proves that it lives, and that the other one has ended.
func (m *Machine) askReplacing(pod string) {
	p := m.connectedProcess(pod)
	if p != nil && slices.ContainsFunc(m.members, func(q *member) bool { return q.id.Pod == pod && q.replaced && !q.dead }) {
		m.ask(p)
	}
}

// buryReplacedBy records that the processes have ended whose connections were replaced before a process of the
// same pod was asked, which has answered now.
func (m *Machine) buryReplacedBy(p *member) {
	for _, q := range m.members {
		if q.id.Pod == p.id.Pod && q.replaced && !q.endedAt.After(p.queriedAt) {
			q.replaced = false
			m.buryReplaced(p.id.Pod)
		}
	}
}
