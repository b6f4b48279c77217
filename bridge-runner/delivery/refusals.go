// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// A reason code by which a server refuses a message may be about the message, or about the
// server: it may be out of quota, or in trouble. If the code does not say that it is about
// the message, the message is sent again, with growing pauses, and is given up only after
// the server has taken another message meanwhile.
const (
	mostRefusals = 5
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
)

// refusals are messages that the destination has refused and may take later.
type refusals struct {
	of    map[*outgoing]*refusal
	until time.Time // nothing is sent before
}

type refusal struct {
	count     int
	witnessed bool // the server has taken another message since the first refusal
	kept      bool // it was given up and is kept: the policy is to block
	err       *session.Error
}

func pauseAfter(refusals int) time.Duration {
	return min(firstPause<<min(refusals-1, 16), longestPause)
}

// refusedLocked notes that the destination has refused m.
func (p *Pipe) refusedLocked(m *outgoing, why *session.Refusal) {
	if why.Final() {
		p.giveUpLocked(m, DropRefused, why.Error)
		return
	}
	r := p.refusals.of[m]
	if r == nil {
		r = &refusal{}
		p.refusals.of[m] = r
	}
	r.count++
	r.err = why.Error
	if r.count >= mostRefusals && r.witnessed {
		p.giveUpLocked(m, DropRefused, r.err)
		return
	}
	p.holdLocked(pauseAfter(r.count))
}

// holdLocked sends nothing for a while, and begins with the oldest message then.
func (p *Pipe) holdLocked(pause time.Duration) {
	now := time.Now()
	if until := now.Add(pause); until.After(p.refusals.until) {
		p.refusals.until = until
	}
	p.next = 0
	p.wakeAtLocked(p.refusals.until, now)
}

// mayRetryLocked reports whether m may be sent now that messages were refused, or, if not,
// whether the messages behind it may: if the server has refused m often, and has taken no
// other message meanwhile, these show whether it would.
func (p *Pipe) mayRetryLocked(m *outgoing, now time.Time) (may, passOver bool) {
	if now.Before(p.refusals.until) {
		p.wakeAtLocked(p.refusals.until, now)
		return false, false
	}
	r := p.refusals.of[m]
	if r == nil || r.count < mostRefusals || r.kept || r.count%2 == 0 {
		return true, false
	}
	r.count++
	p.wakeAtLocked(now.Add(pauseAfter(r.count)), now)
	return false, true
}

// refusalsWitnessedLocked notes that the destination has taken a message over.
func (p *Pipe) refusalsWitnessedLocked() {
	for m, r := range p.refusals.of {
		r.witnessed = true
		if r.count >= mostRefusals && !m.inflight && !r.kept {
			p.giveUpLocked(m, DropRefused, r.err)
		}
	}
}
