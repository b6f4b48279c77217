// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"slices"
	"time"
)

// Pair are the rules of two members without a Lease. No third party decides which of them is
// active. Two members that cannot reach each other cannot know whether the other is dead, so that
// each has to wait, or to guess.
//
//   - At the start, the preferred member activates, if the other is not active.
//   - A member activates on the proof of the other's death, by hand-over, or by hand.
//   - A member that cannot reach the other waits. If Timeout is set, it activates after Timeout, the
//     member that is not preferred after twice the Timeout. If both are alive, the servers end the
//     sessions of the other, which steps down.
//   - After a fence, a member that cannot reach the other one activates again after the same time. If
//     this repeats, the member that is not preferred waits twice as long each time, up to longestRetake:
//     two members that are cut from each other end each other's sessions at a low rate.
type Pair struct {
	// Peer is the name of the other machine.
	Peer string
	// Preferred is true for the member that starts. It is set for one of the two.
	Preferred bool
	// Timeout is 0, or at least the duration of the Config. 0 means that a member that cannot reach the
	// other waits. It must be the same for both members: each one knows by it when the other one may have
	// become active.
	Timeout time.Duration
	// Born is the time at which this process started, in seconds, by the clock of the machine. It is 0 in
	// tests that do not need it. A member that activates although it cannot reach the other one does not
	// know the latest term of the other. It uses the time as its term, so that the later of two such
	// claims is higher. If the clocks differ, the other member may become active once more when both are
	// connected.
	Born uint64
}

// Timeout returns the Timeout of a Pair that the member uses.
func (m *Machine) Timeout() time.Duration { return m.cfg.Pair.Timeout }

// timeout is the time after which a member that cannot reach the other activates. It is 0 if the
// member waits.
func (p *Pair) timeout(preferred bool) time.Duration {
	if preferred {
		return p.Timeout
	}
	return 2 * p.Timeout
}

// decidePair decides in the states Starting and Standby of a Pair. active is the other member if it
// is connected and active.
func (m *Machine) decidePair(active *member) {
	pair := m.cfg.Pair
	others := m.others()
	switch {
	case active != nil:
	case len(others) == 0: // refused, replaced, or goodbye
		m.activate(m.latestTerm().after(1), PeerDead)
	case m.timedOut(pair.timeout(pair.Preferred)):
		m.activate(m.blindTerm(2), TimedOut) // after the term that the other member may have used
	case pair.Preferred && others[0].connected:
		// The hello may be older than the latest step of the other member.
		since := max(others[0].connectedSeq, others[0].claimedSeq+1, m.handed.seq)
		if others[0].answered >= since {
			m.activate(m.latestTerm().after(1), NoneActive)
			return
		}
		m.query(since)
	}
}

// decideActivePair decides in the state Active of a Pair. The other member may be active, too: both were
// cut off, or a user has decided. If it has stepped down with a higher claim, this process did not know
// the claim when it activated after the Timeout. This member raises its term, so that the other one
// becomes its standby.
func (m *Machine) decideActivePair() {
	m.call()
	if m.cfg.Pair.Timeout > 0 {
		m.keepAsking()
	}
	for _, p := range m.others() {
		if p.connected && p.said.State == SteppedDown && m.own().less(p.claim()) {
			m.term = p.said.Term.after(1)
		}
	}
}

// blindTerm is the term of a member that activates although it cannot reach the other one: at least the
// n-th term after the latest term that it knows.
func (m *Machine) blindTerm(n uint64) Term {
	t := m.latestTerm().after(n)
	if born := m.cfg.Pair.Born; born > 0 {
		t.Unwritten = max(t.Unwritten, born+uint64(max(m.now.Sub(m.bornAt), 0)/time.Second))
	}
	return t
}

// timedOut reports whether the other member could not be reached for d.
func (m *Machine) timedOut(d time.Duration) bool {
	return d > 0 && m.silence() >= d
}

// silence is the time since the latest message from the other member.
func (m *Machine) silence() time.Duration {
	since := m.startedAt
	for _, p := range m.others() {
		if p.heardAt.After(since) {
			since = p.heardAt
		}
	}
	return m.now.Sub(since)
}

// peerMayHaveTakenOver reports whether the other member may have activated because of the timeout,
// which it counts from the latest message of this member. Its own messages prove nothing: the network
// may lose the messages of one direction only, and messages that this process reads when it continues
// after a freeze are old. So the time counts from the latest query that it has answered. A heartbeat's
// interval is left for the CONNECT packet and the difference of the clocks.
func (m *Machine) peerMayHaveTakenOver(f fence) bool {
	pair := m.cfg.Pair
	if pair.Timeout == 0 {
		return false
	}
	return f.bridge == "" || slices.ContainsFunc(m.others(), func(p *member) bool {
		return m.now.Sub(p.reachedAt) >= pair.timeout(!pair.Preferred)-m.cfg.Heartbeat()
	})
}

// hasCalled reports whether the member has tried to reach the other one since it was frozen. A user may have
// made the other one active by hand meanwhile.
func (m *Machine) hasCalled(f fence) bool {
	return f.bridge != "" || !slices.ContainsFunc(m.others(), func(p *member) bool {
		return !m.hasAnswered(p, f.seq) && (p.connected || p.unreached < f.seq)
	})
}

// redials reports whether a member that is dead is dialled, because the proof of its death expires.
func (m *Machine) redials(p *member) bool {
	return m.cfg.Pair != nil && m.cfg.Pair.Timeout > 0 && p == m.latestDead() && m.now.Sub(p.deadAt) >= m.cfg.renewal()
}

// latestDead is the latest process of the other member of a Pair. It is nil if the process may be alive.
func (m *Machine) latestDead() *member {
	if len(m.others()) > 0 || len(m.members) == 0 {
		return nil
	}
	return slices.MaxFunc(m.members, func(a, b *member) int { return a.deadAt.Compare(b.deadAt) })
}

// expireDeaths treats a member as alive that was dead before the Timeout: a process that has started
// since may have activated, because it could not reach this member.
func (m *Machine) expireDeaths() {
	pair := m.cfg.Pair
	if pair == nil || pair.Timeout == 0 {
		return
	}
	latest := m.latestDead()
	if latest != nil && m.now.Sub(latest.deadAt) >= pair.timeout(!pair.Preferred)-m.cfg.Heartbeat() {
		latest.dead, latest.said, latest.reachedAt = false, Announcement{}, latest.deadAt
	}
}

// retakes reports whether the member may continue after an event, and the other member of a Pair may
// have used the sessions meanwhile. Then the bridges must start again, because their knowledge of the
// sessions is not valid any more: for example, a packet identifier may be in use for another message.
func (m *Machine) retakes(f fence) bool {
	pair := m.cfg.Pair
	if pair == nil {
		return false
	}
	if m.confirmed(f) {
		return (pair.Timeout > 0 || f.taken) && m.otherMayHaveBeenActive(f)
	}
	return m.retake(f)
}

// otherMayHaveBeenActive reports whether the other member of a Pair may have been active since this member has become
// active. It may have stood down before this member could reach it.
func (m *Machine) otherMayHaveBeenActive(f fence) bool {
	other := m.other()
	known := m.met.activations
	if m.met.id != other.id {
		known = 0 // a process that has started since
	}
	return other.id != f.other || other.activations > known
}

// met is the other member of a Pair, as this member knows it.
type met struct {
	// id is zero if the other member is dead.
	id ID
	// activations is the number of times that it has become active.
	activations uint64
}

func (m *Machine) other() met {
	if others := m.others(); len(others) > 0 {
		return met{others[0].id, others[0].said.Activations}
	}
	return met{}
}

// longestRetake bounds the wait of the member that is not preferred. After a longer time without a fence,
// the wait begins with its shortest value.
const longestRetake = 10 * time.Minute

// retaken are activations of the member that is not preferred after a fence, which follow each other within
// longestRetake.
type retaken struct {
	count int
	// latest is the time of the latest one.
	latest time.Time
}

// before returns the number of the activations that an event follows.
func (r retaken) before(f fence) int {
	if f.at.Sub(r.latest) >= longestRetake {
		return 0
	}
	return r.count
}

// retake reports whether a member of a Pair activates again, because it cannot reach the other member for a
// time after the event. It raises the term by more than the other member has, when it could not reach this
// member.
func (m *Machine) retake(f fence) bool {
	pair := m.cfg.Pair
	if pair == nil || !m.timedOut(pair.timeout(pair.Preferred)) || m.now.Sub(f.at) < m.retakeWait(f) {
		return false
	}
	m.retaken = retaken{m.retaken.before(f) + 1, m.now}
	m.term = m.blindTerm(3)
	return true
}

// retakeWait is the time after an event before the member of a Pair activates again. The preferred member
// always waits for the same time.
func (m *Machine) retakeWait(f fence) time.Duration {
	pair := m.cfg.Pair
	shortest := pair.timeout(pair.Preferred)
	wait := shortest
	for range m.retaken.before(f) {
		if !pair.Preferred && wait < longestRetake {
			wait = min(2*wait, max(longestRetake, shortest))
		}
	}
	return wait
}
