// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// Isolation finds a message at which servers end the session. Such a message would
// otherwise be sent first on every connection, and stop both directions.
//
//	together ──── the server ends strikes sessions in a row before it has acknowledged the
//	    ▲         messages that were in flight in the first; once is enough if it says by
//	    │         its reason code that a message is wrong
//	    │              │
//	    │              ▼
//	    └──────── one by one: the messages that were in flight go one at a time; the
//	   all are    suspect, the oldest at the latest end, only after a control
//	   acknowledged    │
//	                   │ the server ends the session trials times in a row with the suspect
//	                   │ as the only message in flight, and every server that can be
//	                   ▼ connected has done so
//	              given up
//
// A control shows that the connection lasts without the suspect: 128 pings are answered,
// and then nothing is sent for a multiple of the time within which the session ended at
// the suspect. A network that cuts connections, or a broker that restarts, also ends
// sessions while nothing of this direction is in flight, which clears the suspect.
const (
	strikes = 2
	// briefSession is how long a session lasts at most if a message in it may be why it ends,
	// though the oldest one is not the same as in the session before.
	briefSession = 10 * time.Second

	trials = 2
	// trialsIfSlow is for sessions that lasted longer than slowExposure with the suspect:
	// a network that cuts connections is likely to do so in that time.
	trialsIfSlow = 6
	slowExposure = 2 * time.Second

	// witnessFails is after how many sessions that ended at a message in place of the suspect
	// the one behind it is sent.
	witnessFails = 2
	// When none is left to be a witness, all are tried once more after a pause, which grows.
	firstWitnessPause   = 30 * time.Second
	longestWitnessPause = 5 * time.Minute

	controlPings   = 128
	controlMinimum = 100 * time.Millisecond
	// controlPatience is how long the answers to the pings are waited for: that the
	// connection has lasted for so long without a message shows as much.
	controlPatience = 10 * time.Second
	controlMaximum  = time.Minute
	controlFactor   = 10 // of the time from the suspect to the end of the session
	controlTrips    = 10 // of the time of the pings
)

// isolation is how far the search has come. The zero value is none.
type isolation struct {
	// suspect was the oldest unacknowledged message when the server ended the latest
	// sessions.
	suspect *outgoing
	strikes int
	// struck is how many sessions in a row have ended, also with another oldest message,
	// and newest was the last message in flight when the first of them did.
	struck int
	newest *outgoing
	// until is the last of the messages that go one by one; nil: they go together.
	until *outgoing
	// trials is how many sessions in a row ended with the suspect alone, by is with which
	// servers.
	trials int
	by     map[*session.State]bool
	ending session.Ending
	err    *session.Error
	// passedOver says that a server has acknowledged later messages, and not the suspect.
	passedOver bool

	controlled bool          // on this connection
	controls   bool          // a control is under way
	sentAt     time.Time     // when the suspect was sent alone on this connection
	exposure   time.Duration // the longest time from there to the end of the session
	holdUntil  time.Time     // the suspect is not sent before

	// witness says that a message behind the suspect goes first: the server has ended the
	// session by a code that may be about its own state, and not about the suspect.
	// witnessed says that the server has taken one. failed is how often it has ended the
	// session at such a message instead.
	witness, witnessed bool
	failed             map[*outgoing]int
	// retryAt is when all are tried once more, because none is left to be a witness; zero:
	// one is. pause is the latest pause before that.
	retryAt time.Time
	pause   time.Duration
}

// named reports whether a reason code of DISCONNECT says that a message is wrong (MQTT 5
// section 3.14.2.1).
func named(code byte) bool {
	switch code {
	case 0x81, 0x82, 0x87, 0x90, 0x95, 0x99, 0x9A, 0x9B:
		return true
	}
	return false
}

// takenOver is the reason code of DISCONNECT that says that another client has connected
// with the same client identifier. It says nothing about messages.
const takenOver = 0x8E

// needsWitness reports whether the session may have ended because of how much was sent, or
// because the server takes nothing. A code that is about the server or the client may stand
// for a message, too: servers with a policy for messages end the session by 0x98, for
// example.
func needsWitness(how session.Ending) bool {
	switch how.Code {
	case 0x93, 0x96, 0x97, 0x89, 0x8B, 0x8D, 0x98, 0x9C, 0x9D, 0x9F, 0xA0:
		return true
	}
	return !how.ByServer
}

// judgeLocked draws the conclusions from the end of the destination s.
func (p *Pipe) judgeLocked(s *session.Session) {
	i, how := &p.isolation, s.Ending()
	alone, controlled := i.until != nil, i.controlled
	i.controlled, i.controls = false, false
	switch {
	case how.Code == takenOver:
		return
	case !how.ByServer && !how.PassedOver && !how.Answering && (!how.Silent || !i.passedOver):
		return // a dead link says nothing about messages
	}
	oldest, newest := p.inFlightLocked()
	switch {
	case oldest == nil:
		*i = isolation{until: i.until} // sessions end without messages, too
		return
	case i.witness:
		if i.failed == nil {
			i.failed = map[*outgoing]int{}
		}
		i.failed[oldest]++ // the server may end the session at any message, or at this one, too
		return
	case oldest != i.suspect:
		// The messages before it are acknowledged, or their acknowledgements were lost in the
		// session before.
		*i = isolation{suspect: oldest, struck: i.struck, newest: i.newest, until: i.until, sentAt: i.sentAt, by: map[*session.State]bool{}, passedOver: alone && i.passedOver}
	}
	i.ending, i.err = how, session.AsError(s.Err())
	i.passedOver = i.passedOver || how.PassedOver
	if i.newest == nil {
		i.newest = newest
	}
	i.strikes++
	if named(how.Code) {
		i.strikes = max(i.strikes, strikes)
	}
	switch {
	case !alone:
		if time.Since(p.since) > briefSession {
			i.struck = 0
		}
		i.struck++
		if max(i.strikes, i.struck) >= strikes {
			i.until = newest
		}
	case controlled:
		i.trials++
		i.by[s.State()] = true
		fallthrough
	default:
		i.exposure = max(i.exposure, time.Since(i.sentAt))
	}
}

// inFlightLocked returns the first and the last message in flight; nil: there is none.
func (p *Pipe) inFlightLocked() (oldest, newest *outgoing) {
	for i := range p.queue.len() {
		m := p.queue.at(i)
		if m.done || !m.inflight {
			continue
		}
		if oldest == nil {
			oldest = m
		}
		newest = m
	}
	return oldest, newest
}

// sentenceLocked gives the suspect up if enough sessions have ended at it, and s is with a
// server that has ended one of them: every other server that can be connected was tried
// meanwhile, because the one that was lost last is tried last.
func (p *Pipe) sentenceLocked(s *session.Session) {
	i := &p.isolation
	i.controlled, i.controls, i.witness = false, false, false
	if i.suspect == nil || !i.by[s.State()] {
		return
	}
	if needsWitness(i.ending) && !i.witnessed {
		i.witness = true // before the last trial
		return
	}
	if i.trials < i.needed() {
		return
	}
	p.giveUpLocked(i.suspect, DropUnforwardable, i.err)
}

// needed is the number of trials after which the suspect is given up.
func (i *isolation) needed() int {
	if i.ending.ByServer && i.exposure > slowExposure {
		return trialsIfSlow
	}
	return trials
}

// repeatTrialLocked has m, which was given up and is kept, sent alone once more at that
// time.
func (i *isolation) repeatTrialLocked(m *outgoing, at time.Time) {
	if i.suspect == m {
		i.trials, i.holdUntil = i.needed()-1, at
	}
}

// forgetTrialsLocked ends the search for messages that are not in the queue any more.
func (p *Pipe) forgetTrialsLocked() {
	p.unblockLocked(p.refusals.blocking)
	p.isolation = isolation{}
	p.refusals.forget()
}

// mayGoLocked reports whether m may be sent now, or, if not, whether the messages behind
// it may.
func (p *Pipe) mayGoLocked(m *outgoing, now time.Time) (may, passOver bool) {
	if len(p.refusals.of) > 0 {
		if may, passOver = p.mayRetryLocked(m, now); !may {
			return may, passOver
		}
	}
	i := &p.isolation
	switch {
	case i.until == nil:
		return true, false
	case p.inflight > 0:
		return false, false
	case i.witness:
		may = m != i.suspect && i.failed[m] < witnessFails
		return may, !may
	case m != i.suspect:
		i.sentAt = now
		return true, false
	case now.Before(i.holdUntil):
		p.wakeAtLocked(i.holdUntil, now)
		return false, false
	case !i.controlled:
		p.controlLocked(now)
		return false, false
	}
	i.sentAt = now
	return true, false
}

// retryLocked reports whether the suspect, and then all that were to be witnesses, may be
// sent once more: the server may have recovered, and the source may have nothing else to
// send. It is called when a witness is needed and nothing else may go, and has the queue
// looked at again then.
func (p *Pipe) retryLocked(now time.Time) bool {
	i := &p.isolation
	if p.inflight > 0 {
		return false
	}
	if i.retryAt.IsZero() {
		i.pause = min(max(2*i.pause, firstWitnessPause), longestWitnessPause)
		i.retryAt = now.Add(i.pause)
	}
	if now.Before(i.retryAt) {
		p.wakeAtLocked(i.retryAt, now)
		return false
	}
	i.witness, i.retryAt, p.next = false, time.Time{}, 0
	for m := range i.failed {
		i.failed[m] = witnessFails - 1
	}
	return true
}

// controlLocked begins a control, if none is under way.
func (p *Pipe) controlLocked(start time.Time) {
	i, s := &p.isolation, p.dest
	if i.controls {
		return
	}
	i.controls = true
	s.Ping(controlPings, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		quiet := max(controlMinimum, controlTrips*time.Since(start), min(controlFactor*p.isolation.exposure, controlMaximum))
		time.AfterFunc(quiet, func() { p.controlledBy(s) })
	})
	time.AfterFunc(0, s.Flush)                                    // not under the lock
	time.AfterFunc(controlPatience, func() { p.controlledBy(s) }) // a server may answer fewer pings
}

// controlledBy ends a control: the connection of s has lasted.
func (p *Pipe) controlledBy(s *session.Session) {
	p.mu.Lock()
	if p.dest != s || !p.isolation.controls {
		p.mu.Unlock()
		return
	}
	p.isolation.controlled, p.isolation.controls = true, false
	p.pump()
	p.release()
	p.mu.Unlock()
	s.Flush()
	p.opts.Flush()
}

// acceptedLocked notes that the destination has taken m over.
func (p *Pipe) acceptedLocked(m *outgoing) {
	if len(p.refusals.of) > 0 {
		p.refusalsWitnessedLocked(m)
	}
	if i := &p.isolation; i.witness {
		i.witness, i.witnessed, i.failed, i.retryAt, i.pause = false, true, nil, time.Time{}, 0
		p.next = 0 // the suspect has its last trial
	}
}

// goneLocked notes that m is done.
func (p *Pipe) goneLocked(m *outgoing) {
	i := &p.isolation
	if m == i.newest {
		i.newest, i.struck = nil, 0
	}
	if m == i.until {
		i.until = i.suspect // which is behind, if it is not m: it has let a witness pass
	}
	if m == i.suspect {
		*i = isolation{struck: i.struck, newest: i.newest, until: i.until, sentAt: i.sentAt}
		if i.until == m {
			*i = isolation{}
		}
	}
	if len(p.refusals.of) > 0 {
		delete(p.refusals.of, m)
		if len(p.refusals.of) == 0 {
			p.refusals.forget()
		}
	}
	p.unblockLocked(m)
}
