// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// needsWitness reports whether a witness is needed: the session may have ended because of
// how much was sent, or because the server accepts nothing. A code about the server or
// about the client may stand for a message, too: for example, servers with a policy for
// messages end the session by 0x98.
func needsWitness(how session.Ending) bool {
	switch how.Code {
	case 0x93, 0x96, 0x97, 0x89, 0x8B, 0x8D, 0x98, 0x9C, 0x9D, 0x9F, 0xA0:
		return true
	}
	return !how.ByServer
}

// witnessEndedLocked records that a session ended at m, which was sent as a witness. The
// server may end the session at every message, or at this one, too.
func (i *isolation) witnessEndedLocked(m *outgoing) {
	if i.witnessEndings == nil {
		i.witnessEndings, i.witnessTopics = map[*outgoing]int{}, map[string]*outgoing{}
	}
	i.witnessEndings[m]++
	if first := i.witnessTopics[m.Topic]; first == nil || m.seq < first.seq || first.progress == done {
		i.witnessTopics[m.Topic] = m
	}
}

// mayWitness reports whether m may be sent as a witness. The suspect may be innocent, and a
// server delivers the messages of one topic in the order in which they are sent (section 4.6).
// So a message of another topic is preferred, and no message passes an earlier one of its topic
// before the first pause is over.
func (i *isolation) mayWitness(m *outgoing) bool {
	if m == i.suspect || i.witnessEndings[m] >= witnessEndsMax {
		return false
	}
	if i.anyTopic {
		return true
	}
	if earlier := i.witnessTopics[m.Topic]; earlier != nil && earlier.seq < m.seq && earlier.progress != done {
		return false
	}
	return m.Topic != i.suspect.Topic
}

// retryAllLocked reports whether the suspect, and then every message that was tried as a
// witness, may be sent once more: the server may have recovered, and the source may have
// nothing else to send. It is called when a witness is needed and no other message may be
// sent. Before the time for it, retryAllLocked returns false and plans a call of onTimer.
func (p *Pipe) retryAllLocked(now time.Time) bool {
	i := &p.isolation
	if p.inflight > 0 {
		return false
	}
	if i.retryAt.IsZero() {
		i.retryPause = min(max(2*i.retryPause, firstWitnessPause), longestWitnessPause)
		i.retryAt = now.Add(i.retryPause)
	}
	if now.Before(i.retryAt) {
		p.wakeAtLocked(i.retryAt, now)
		return false
	}
	i.witness, i.anyTopic, i.retryAt, p.next = false, true, time.Time{}, 0
	for m := range i.witnessEndings {
		i.witnessEndings[m] = witnessEndsMax - 1
	}
	return true
}
