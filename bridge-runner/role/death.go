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
// pod is. While two are connected, it is not known which of them is the later one: a hello may be read late.
func (m *Machine) buryReplaced(pod string) {
	replaced := slices.ContainsFunc(m.members, func(p *member) bool { return p.id.Pod == pod && p.connected })
	for _, p := range m.members {
		if p.id.Pod == pod && replaced && !p.connected {
			m.bury(p, false)
			p.dialing = false
		}
	}
}
