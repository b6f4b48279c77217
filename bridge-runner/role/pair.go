// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
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
//   - After a fence, only the preferred member may use the timeout again. So the members do not end
//     each other's sessions repeatedly.
type Pair struct {
	// Peer is the name of the other machine.
	Peer string
	// Preferred is true for the member that starts. It is set for one of the two.
	Preferred bool
	// Timeout is 0, or at least the duration of the Config. 0 means that a member that cannot reach the
	// other waits.
	Timeout time.Duration
}

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
		m.activate(m.latestTerm().after(1))
	case m.timedOut(pair.timeout(pair.Preferred)):
		m.activate(m.latestTerm().after(2)) // after the term that the other member may have used
	case pair.Preferred && others[0].connected:
		// The hello may be older than the latest step of the other member.
		since := max(others[0].connectedSeq, m.handed.seq)
		if others[0].answered >= since {
			m.activate(m.latestTerm().after(1))
			return
		}
		m.query(since)
	}
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

// peerMayHaveTakenOver reports whether the other member may have activated because of the timeout.
// Messages that a frozen process reads when it continues may be old. A heartbeat's interval is left
// for the CONNECT packet and the difference of the clocks.
func (m *Machine) peerMayHaveTakenOver(f fence) bool {
	pair := m.cfg.Pair
	frozen := f.bridge == ""
	return pair.Timeout > 0 && (frozen || m.silence() >= pair.timeout(!pair.Preferred)-m.cfg.Heartbeat())
}

// retake reports whether the preferred member of a Pair activates again, because it cannot reach the
// other member for Timeout after the event. It raises the term, because the other member has used the
// next term.
func (m *Machine) retake(f fence) bool {
	pair := m.cfg.Pair
	if pair == nil || !pair.Preferred || !m.timedOut(pair.Timeout) || m.now.Sub(f.at) < pair.Timeout {
		return false
	}
	m.term = m.latestTerm().after(2)
	return true
}
