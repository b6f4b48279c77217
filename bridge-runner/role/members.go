// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"cmp"
	"slices"
	"time"
)

// member is the knowledge about another member.
type member struct {
	id ID
	// listed is true if the member was observed in the Lease.
	listed bool
	// dead is true if the process has ended, or has said goodbye.
	dead bool
	// deadSeq is the step at which that was learned. It is valid if dead is true.
	deadSeq uint64
	// deadAt is the latest time at which it was known. It is valid if dead is true.
	deadAt time.Time
	// deadTerm is the latest term of the Lease that was known when that was learned. It is valid if dead is true.
	deadTerm uint64
	// byRefusal is true if the only proof is that the member's address refuses connections. It is valid if
	// dead is true.
	byRefusal bool
	// refuses is true if the member's address has refused the latest Dial.
	refuses bool
	// refusalProves is true if a refusal proves the end of the process: this member has been connected to
	// it, and the Lease has not shown since then that the process lives although its address refuses. A
	// firewall may refuse connections to a process that lives.
	refusalProves bool
	// connected is true while there is a connection.
	connected bool
	// connectedSeq is the step at which the latest connection was made.
	connectedSeq uint64
	// replaced is true if the latest connection was closed in favour of one of another process of the pod, and it is
	// not known which of the two processes lives. It is valid if connected is false.
	replaced bool
	// endedAt is the end of the latest connection, or the time at which this member was first known if
	// there was none. It is valid if connected is false.
	endedAt time.Time
	// said is the latest announcement. It is valid if heardAt is not zero. It outlives the connection,
	// because the member keeps its claim.
	said    Announcement
	heardAt time.Time
	// claimedSeq is the latest step at which the member said that it is active.
	claimedSeq uint64
	// answered is the number of the latest question that the member has answered with a state from
	// which it cannot forward by itself.
	answered uint64
	// answeredAt is the time at which that question was asked.
	answeredAt time.Time
	// queried is the number of the latest query on this connection. It is 0 if there is none.
	queried uint64
	// querying is true while that query is not answered.
	querying bool
	// queriedAt is the time of that query.
	queriedAt time.Time
	// reachedAt is the time of the latest query that the member has answered in any state: it has heard
	// this member at that time or later. It is zero if it has answered none.
	reachedAt time.Time
	// dialing is true while a Dial is under way.
	dialing bool
	// dialled is the step of the latest Dial. unreached is the step of the latest Dial that has failed.
	dialled, unreached uint64
	// dialAt is the earliest time of the next Dial.
	dialAt time.Time
}

// naming is a statement that this member is the successor.
type naming struct {
	by   ID
	term Term
	at   time.Time
}

// know returns the knowledge about a member. It adds the member if it is new.
func (m *Machine) know(id ID) *member {
	if i := m.find(id); i >= 0 {
		return m.members[i]
	}
	added := &member{id: id, endedAt: m.now}
	m.members = append(m.members, added)
	slices.SortFunc(m.members, func(a, b *member) int { return a.id.compare(b.id) })
	return added
}

func (m *Machine) find(id ID) int {
	return slices.IndexFunc(m.members, func(p *member) bool { return p.id == id })
}

// prune forgets members that are dead, or cannot be reached, and were removed from the Lease. A member
// whose node was lost would otherwise have to answer each question.
func (m *Machine) prune() {
	m.members = slices.DeleteFunc(m.members, func(p *member) bool {
		gone := p.dead || p.listed && !p.connected && !p.said.State.Claims()
		return gone && p.id != m.named.by && p.id != m.handed.to && p.id != m.lease.record.Holder &&
			!slices.Contains(m.lease.record.Members, p.id)
	})
}

// Gone reports whether the entry of a member in the Lease is of no use: its process has ended, or
// could not be reached for a long time. The holder removes such entries: otherwise a member whose node
// was lost would have to answer before each permission without the API server. A member that lives
// enters itself again.
func (m *Machine) Gone(id ID) bool {
	if m.isDead(id) {
		return true
	}
	i := m.find(id)
	if i < 0 || id == m.cfg.Self {
		return false
	}
	p := m.members[i]
	return !p.connected && !p.said.State.Claims() && m.now.Sub(p.endedAt) >= unreachable*m.longerDuration(p)
}

// unreachable is the time without a connection after which a member is removed from the Lease, in
// durations of the Lease. It is longer than the time for which it may be the successor.
const unreachable = 4

func (m *Machine) learnOfPeer(e Event) {
	switch e := e.(type) {
	case PeerConnected:
		p := m.know(e.From)
		p.connected, p.connectedSeq, p.dead, p.dialing, p.queried, p.querying = true, m.seq, false, false, 0, false
		p.refuses, p.refusalProves, p.replaced = false, true, false
		m.buryReplaced(p.id.Pod)
		m.askReplacing(p.id.Pod)
		m.hear(p, e.Said)
	case PeerHeartbeat:
		m.hear(m.know(e.From), e.Said)
	case PeerAnswered:
		p := m.know(e.From)
		m.hear(p, e.Said)
		if p.queried == e.Asked {
			p.querying = false
			p.reachedAt = p.queriedAt
			m.buryReplacedBy(p)
			m.answer(p, claim{e.RivalTerm, e.Rival})
		}
	case PeerEnded:
		p := m.know(e.From)
		p.connected, p.endedAt, p.dialAt = false, m.now, m.now
		if e.Continues {
			p.dialAt = m.now.Add(m.cfg.Heartbeat())
		}
		m.buryReplaced(p.id.Pod)
	case PeerReplaced:
		p := m.know(e.From)
		p.connected, p.replaced, p.endedAt, p.dialAt = false, true, m.now, m.now.Add(m.cfg.Heartbeat())
		m.askReplacing(p.id.Pod)
	case PeerGoodbye:
		p := m.know(e.From)
		if m.mayBeOld(p.connectedSeq) {
			m.learnOfPeer(PeerEnded{From: e.From})
			return
		}
		m.bury(p, false)
	case DialFailed:
		p := m.know(e.To)
		p.dialing, p.refuses, p.unreached = false, e.Dead, p.dialled
		if e.Dead && !p.connected && (p.refusalProves || m.cfg.Pair != nil) && !m.mayBeOld(p.dialled) {
			m.bury(p, true)
		}
	}
}

// hear processes an announcement.
func (m *Machine) hear(p *member, said Announcement) {
	if p.said.State.Claims() && !said.State.Claims() && len(m.others()) > 1 {
		m.promise() // it may have handed over to a third member
	}
	p.said, p.heardAt = said, m.now
	if said.State.Claims() {
		p.claimedSeq = m.seq
	}
	switch {
	case said.State.Claims() && said.Successor == m.cfg.Self:
		m.named = naming{p.id, said.Term, m.now}
	case m.named.by == p.id:
		m.named = naming{}
	}
	if p.id == m.handed.to && said.State.Claims() && m.state != HandingOver {
		m.handed = handed{} // it has received the message
	}
}

// answer records that the member was not active after the question was asked. A member that has
// stepped down becomes active again if this member confirms it. Of two such members, only the
// member with the higher claim may do so. rival is the highest claim of a third member that the member
// knows: if it is higher than the claims that this member knows, the answer confirms nothing.
func (m *Machine) answer(p *member, rival claim) {
	known := m.own()
	if m.state.waits() {
		known.term = m.latestTerm()
	}
	if known.less(rival) && !m.isDead(rival.id) {
		return
	}
	lower := p.said.State == SteppedDown && p.claim().less(m.own())
	if lower || p.said.State == Standby || p.said.State == Starting {
		p.answered, p.answeredAt = p.queried, p.queriedAt
	}
}

// call dials all other members that are not connected.
func (m *Machine) call() {
	for _, p := range m.members {
		if p.dead && !m.redials(p) || p.connected || p.dialing || m.now.Before(p.dialAt) || p.id.Pod == m.cfg.Self.Pod {
			continue
		}
		p.dialing, p.dialled, p.dialAt = true, m.seq, m.now.Add(m.cfg.Heartbeat())
		m.do(Dial{p.id})
	}
}

// hasAnswered reports whether a member has answered a question of the step since or later, and its promise
// holds for the time of a permission. In a group of three, the answers may arrive at different times. In a
// Pair, the other member does not acquire a Lease after its answer.
func (m *Machine) hasAnswered(p *member, since uint64) bool {
	holds := m.cfg.Pair != nil || m.now.Before(p.answeredAt.Add(m.cfg.Heartbeat()))
	return p.answered >= since && holds
}

// query asks the connected members that have not answered a question of the step since or later. One
// query to a member is open at a time.
func (m *Machine) query(since uint64) {
	for _, p := range m.members {
		recent := p.querying || p.queried >= since && m.now.Sub(p.queriedAt) < m.cfg.Heartbeat()
		if !p.connected || m.hasAnswered(p, since) || recent {
			continue
		}
		m.ask(p)
	}
}

// keepAsking asks all connected members at each heartbeat, so that reachedAt is recent.
func (m *Machine) keepAsking() {
	for _, p := range m.members {
		if p.connected && !p.querying && m.now.Sub(p.queriedAt) >= m.cfg.Heartbeat() {
			m.ask(p)
		}
	}
}

func (m *Machine) ask(p *member) {
	p.queried, p.querying, p.queriedAt = m.seq, true, m.now
	m.do(Query{p.id, m.seq})
}

// others returns the other members that are not proven dead.
func (m *Machine) others() (others []*member) {
	for _, p := range m.members {
		if !m.isDead(p.id) {
			others = append(others, p)
		}
	}
	return others
}

// claim is a statement that a member is active.
type claim struct {
	term Term
	id   ID
}

// longerDuration is the longer duration of the Lease of this member and another one.
func (m *Machine) longerDuration(p *member) time.Duration {
	return max(m.cfg.Duration, p.said.Duration)
}

func (p *member) claim() claim { return claim{p.said.Term, p.id} }

// own is this member's claim.
func (m *Machine) own() claim { return claim{m.term, m.cfg.Self} }

func (c claim) less(other claim) bool {
	return cmp.Or(c.term.compare(other.term), c.id.compare(other.id)) < 0
}

// rival is the highest claim of another member that may be alive. It is zero if there is none.
func (m *Machine) rival() (highest claim) {
	if r := m.lease.record; r.Holder != (ID{}) && r.Holder != m.cfg.Self && !m.isDead(r.Holder) {
		highest = claim{r.term(), r.Holder}
	}
	for _, p := range m.others() {
		if p.said.State.Claims() && highest.less(p.claim()) {
			highest = p.claim()
		}
	}
	return highest
}

// activePeer returns the connected member with the highest claim, or nil.
func (m *Machine) activePeer() (active *member) {
	for _, p := range m.others() {
		if p.connected && p.said.State.Claims() && (active == nil || active.claim().less(p.claim())) {
			active = p
		}
	}
	return active
}

// Outdated reports whether another connected member is active instead of this one.
func (m *Machine) Outdated(id ID) bool {
	active := m.activePeer()
	return active != nil && active.id != id && !m.Said(id).State.Claims()
}

// latestTerm is the latest term that the member knows.
func (m *Machine) latestTerm() Term {
	t := m.lease.record.term().later(m.term).later(m.yielded).later(m.named.term).later(m.handed.term)
	for _, p := range m.members {
		t = t.later(p.said.Term)
	}
	return t
}
