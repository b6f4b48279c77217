// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// Isolation finds a message at which servers end the session. Without isolation, such a
// message would be sent first on every connection, and would stop both directions.
//
//	together ──── the server ends strikesToIsolate sessions in a row before it has
//	    ▲         acknowledged the messages that were in flight in the first of them; one
//	    │         session is enough if the reason code says that a message is at fault
//	    │              │
//	    │              ▼
//	    └──────── one by one: the messages that were in flight are sent one at a time; the
//	   all are    suspect, which is the oldest message in flight when the latest session
//	   acknowledged    ended, is sent only after a control
//	                   │
//	                   │ the server ends the session trialsToGiveUp times in a row with the
//	                   │ suspect as the only message in flight, and every server that can be
//	                   ▼ connected has done so
//	              given up
//
// A control shows that the connection lasts without the suspect: the server answers 128
// pings, and then nothing is sent for a multiple of the time after which the session
// ended at the suspect. A network that cuts connections, or a broker that restarts, also
// ends sessions while no message of this direction is in flight, which clears the
// suspect.
//
// After the first of these sessions, at most cautiousWindow messages are in flight until all
// messages are acknowledged that were in flight then. So few messages are sent one by one if
// the next session ends, too: each takes a round trip, and a network that cuts connections
// must not stop the others for many round trips.
const (
	strikesToIsolate = 2
	cautiousWindow   = 16
	// briefSession is the longest session that a message other than the previous suspect may
	// have ended. A longer session starts the count of endsInARow again.
	briefSession = 10 * time.Second

	trialsToGiveUp = 3
	// trialsToGiveUpIfSlow replaces trialsToGiveUp if a session lasted longer than
	// slowExposure with the suspect in flight: a network that cuts connections is likely to
	// cut one in that time.
	trialsToGiveUpIfSlow = 6
	slowExposure         = 2 * time.Second

	// witnessEndsMax is the number of sessions that may end at a message sent in place of
	// the suspect. After that, the message behind it is sent instead.
	witnessEndsMax = 2
	// If no message is left that could be a witness, all messages are tried again after a
	// pause. The pause doubles from firstWitnessPause to longestWitnessPause.
	firstWitnessPause   = 30 * time.Second
	longestWitnessPause = 5 * time.Minute

	controlPings   = 128
	controlMinimum = 100 * time.Millisecond
	// controlPatience is how long a control waits for the answers to its pings. A connection
	// that has lasted for this time without a message has passed the control, too.
	controlPatience = 10 * time.Second
	controlMaximum  = time.Minute
	controlFactor   = 10 // the control is quiet for this multiple of exposure, up to controlMaximum
	controlTrips    = 10 // the control is quiet for at least this multiple of the time that the pings took
)

// isolation is the state of the search. The zero value means that there is no search.
type isolation struct {
	// suspect was the oldest unacknowledged message when the server ended the latest
	// sessions.
	suspect *outgoing
	// strikes is the number of sessions in a row that ended while the suspect was the oldest
	// message in flight.
	strikes int
	// endsInARow is the number of sessions in a row that ended, whichever message was the
	// oldest in flight. A session that lasted longer than briefSession starts the count
	// again.
	endsInARow int
	// newest was the last message in flight when the first of these sessions ended.
	newest *outgoing
	// lastAlone is the last of the messages that are sent one at a time. If it is nil,
	// messages are sent together.
	lastAlone *outgoing
	// trials is the number of sessions in a row that ended while the suspect alone was in
	// flight, after a control.
	trials int
	// endedBy holds the servers that ended these sessions.
	endedBy map[*session.State]bool
	// ending and err describe how the latest session ended.
	ending session.Ending
	err    error
	// passedOver says that a server has acknowledged later messages, but not the suspect.
	passedOver bool

	// controlPassed says that the control on this connection has passed.
	controlPassed bool
	// controlRunning says that a control is running.
	controlRunning bool
	// sentAt is when a message was last sent alone on this connection.
	sentAt time.Time
	// exposure is the longest time from sentAt to the end of the session.
	exposure time.Duration
	// holdUntil is the time before which the suspect is not sent.
	holdUntil time.Time

	// witness says that a witness is needed: a message behind the suspect is sent first,
	// because the server ended the session by a code that may be about its own state and
	// not about the suspect.
	witness bool
	// witnessed says that the server has accepted a witness.
	witnessed bool
	// anyTopic says that the first pause is over, so that a message of the suspect's topic may
	// be the witness.
	anyTopic bool
	// witnessEndings is the number of sessions that ended at each message that was sent as a
	// witness.
	witnessEndings map[*outgoing]int
	// witnessTopics holds the first message of each topic that was sent as a witness.
	witnessTopics map[string]*outgoing
	// retryAt is when all messages are tried again, because no message is left that could be
	// a witness. Zero if such a message is left.
	retryAt time.Time
	// retryPause is the latest pause before retryAt.
	retryPause time.Duration
}

// blamesMessage reports whether a reason code of DISCONNECT says that a message is at
// fault (MQTT 5 section 3.14.2.1).
func blamesMessage(code byte) bool {
	switch code {
	case 0x81, 0x82, 0x87, 0x90, 0x95, 0x99, 0x9A, 0x9B:
		return true
	}
	return false
}

// codeSessionTakenOver is the reason code of DISCONNECT which says that another client
// has connected with the same client identifier. It says nothing about messages.
const codeSessionTakenOver = 0x8E

// sessionEndedLocked updates the search after the destination s was lost.
func (p *Pipe) sessionEndedLocked(s *session.Session) {
	i, how := &p.isolation, s.Ending()
	alone, controlled := i.lastAlone != nil, i.controlPassed
	i.controlPassed, i.controlRunning = false, false
	switch {
	case how.Code == codeSessionTakenOver:
		return
	case !how.ByServer && !how.Skipped && !how.Answering && (!how.AckTimedOut || !i.passedOver):
		return // a lost link says nothing about messages
	}
	oldest, newest := p.inFlightLocked()
	switch {
	case oldest == nil:
		*i = isolation{lastAlone: i.lastAlone} // sessions end without messages, too
		return
	case i.witness:
		i.witnessEndedLocked(oldest)
		return
	case oldest != i.suspect:
		// The messages in front of it are acknowledged, or their acknowledgements were lost in
		// the session before.
		*i = isolation{suspect: oldest, endsInARow: i.endsInARow, newest: i.newest, lastAlone: i.lastAlone, sentAt: i.sentAt, endedBy: map[*session.State]bool{}, passedOver: alone && i.passedOver}
	}
	i.ending, i.err = how, s.Err()
	i.passedOver = i.passedOver || how.Skipped
	if i.newest == nil {
		i.newest = newest
	}
	i.strikes++
	if blamesMessage(how.Code) {
		i.strikes = max(i.strikes, strikesToIsolate)
	}
	switch {
	case !alone:
		if time.Since(p.destSince) > briefSession {
			i.endsInARow = 0
		}
		i.endsInARow++
		if max(i.strikes, i.endsInARow) >= strikesToIsolate {
			i.lastAlone = newest
		}
	case controlled:
		i.trials++
		i.endedBy[s.State()] = true
		fallthrough
	default:
		i.exposure = max(i.exposure, time.Since(i.sentAt))
	}
}

// inFlightLocked returns the first and the last message in flight; nil if there is none.
func (p *Pipe) inFlightLocked() (oldest, newest *outgoing) {
	for i := range p.queue.len() {
		m := p.queue.at(i)
		if m.progress != inFlight {
			continue
		}
		if oldest == nil {
			oldest = m
		}
		newest = m
	}
	return oldest, newest
}

// evaluateSuspectLocked gives the suspect up if enough sessions have ended at it, and s
// is connected to a server that has ended one of them. Every other server that can be
// connected has been tried meanwhile, because the server that was lost last is tried
// last.
func (p *Pipe) evaluateSuspectLocked(s *session.Session) {
	i := &p.isolation
	i.controlPassed, i.controlRunning, i.witness = false, false, false
	if i.suspect == nil || !i.endedBy[s.State()] {
		return
	}
	if needsWitness(i.ending) && !i.witnessed {
		i.witness = true // before the last trial
		return
	}
	if i.trials < i.neededTrialsLocked() {
		return
	}
	p.giveUpLocked(i.suspect, DropUnforwardable, i.err)
}

// neededTrialsLocked returns the number of trials after which the suspect is given up.
func (i *isolation) neededTrialsLocked() int {
	if i.ending.ByServer && i.exposure > slowExposure {
		return trialsToGiveUpIfSlow
	}
	return trialsToGiveUp
}

// repeatTrialLocked plans one more trial of m, which was given up and is kept, at the
// given time.
func (i *isolation) repeatTrialLocked(m *outgoing, at time.Time) {
	if i.suspect == m {
		i.trials, i.holdUntil = i.neededTrialsLocked()-1, at
	}
}

// resetIsolationLocked ends the search and forgets the refusals, because their messages
// have left the queue.
func (p *Pipe) resetIsolationLocked() {
	p.unblockLocked(p.refusals.blocking)
	p.isolation = isolation{}
	p.refusals.resetLocked()
}

// active reports whether the search limits the messages in flight.
func (i *isolation) active() bool { return i.newest != nil || i.lastAlone != nil }

// maySendLocked reports whether m may be sent now. If not, skip reports whether the
// messages behind it may be sent.
func (p *Pipe) maySendLocked(m *outgoing, now time.Time) (may, skip bool) {
	if len(p.refusals.byMessage) > 0 {
		if may, skip = p.mayRetryLocked(m, now); !may {
			return may, skip
		}
	}
	i := &p.isolation
	switch {
	case i.lastAlone == nil:
		return i.newest == nil || p.inflight < cautiousWindow, false
	case p.inflight > 0:
		return false, false
	case i.witness:
		may = i.mayWitness(m)
		return may, !may
	case m != i.suspect:
		i.sentAt = now
		return true, false
	case now.Before(i.holdUntil):
		p.wakeAtLocked(i.holdUntil, now)
		return false, false
	case !i.controlPassed:
		p.startControlLocked(now)
		return false, false
	}
	i.sentAt = now
	return true, false
}

// startControlLocked starts a control if none is running.
func (p *Pipe) startControlLocked(start time.Time) {
	i, s := &p.isolation, p.dest
	if i.controlRunning {
		return
	}
	i.controlRunning = true
	s.Ping(controlPings, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		quiet := max(controlMinimum, controlTrips*time.Since(start), min(controlFactor*p.isolation.exposure, controlMaximum))
		time.AfterFunc(quiet, func() { p.endControl(s) })
	})
	time.AfterFunc(controlPatience, func() { p.endControl(s) }) // the server may answer fewer pings
}

// endControl ends a control that has passed: the connection of s has lasted.
func (p *Pipe) endControl(s *session.Session) {
	p.mu.Lock()
	defer p.unlockAndFlush()
	if p.dest != s || !p.isolation.controlRunning {
		return
	}
	p.isolation.controlPassed, p.isolation.controlRunning = true, false
	p.pumpLocked()
	p.dequeueDoneLocked()
}

// acceptedLocked updates the search and the refusals after the destination has
// acknowledged m.
func (p *Pipe) acceptedLocked(m *outgoing) {
	if len(p.refusals.byMessage) > 0 {
		p.witnessRefusalsLocked(m)
	}
	if i := &p.isolation; i.witness {
		i.witness, i.witnessed, i.witnessEndings, i.witnessTopics, i.retryAt, i.retryPause = false, true, nil, nil, time.Time{}, 0
		p.next = 0 // the suspect has its last trial
	}
}

// untrackLocked removes m from the search and from the refusals: no attempt to send it
// follows.
func (p *Pipe) untrackLocked(m *outgoing) {
	i := &p.isolation
	if m == i.newest {
		i.newest, i.endsInARow = nil, 0
	}
	if m == i.lastAlone {
		i.lastAlone = i.suspect // if m is not the suspect, m was a witness, and the suspect is still to be sent
	}
	if m == i.suspect {
		*i = isolation{endsInARow: i.endsInARow, newest: i.newest, lastAlone: i.lastAlone, sentAt: i.sentAt}
		if i.lastAlone == m {
			*i = isolation{}
		}
	}
	if len(p.refusals.byMessage) > 0 {
		delete(p.refusals.byMessage, m)
		if len(p.refusals.byMessage) == 0 {
			p.refusals.resetLocked()
		}
	}
	p.unblockLocked(m)
}
