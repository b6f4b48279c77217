// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"container/heap"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// A reason code by which a server refuses a message may be about the message, or about the
// server: it may be out of quota, or in trouble. If the code does not say that it is about
// the message, the message is sent again, with growing pauses, and is given up only if the
// server has taken a message from behind it meanwhile, and refuses it once more. A server
// that limits the rate takes the messages in front.
const (
	mostRefusals = 5
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
)

// refusals are messages that the destination has refused and may take later.
type refusals struct {
	of map[*outgoing]*refusal
	// unwitnessed are the messages of which witnessed is not set, the oldest first, and
	// messages that have left since.
	unwitnessed byPlace
	until       time.Time // nothing is sent before
	// blocking is the message that was given up and is kept; nil: there is none.
	blocking *outgoing
}

type refusal struct {
	count     int
	witnessed bool // the server has taken a message from behind it since the first refusal
	retryAt   time.Time
	kept      bool // it was given up and is kept: the policy is to block
	err       *session.Error
}

var started = time.Now()

// together returns a time soon after t that is the same for many times: each time at which
// messages are sent again, the whole queue is looked at.
func together(t time.Time) time.Time {
	return started.Add(t.Sub(started).Truncate(firstPause) + firstPause)
}

// byPlace is a heap of messages.
type byPlace []*outgoing

func (b byPlace) Len() int           { return len(b) }
func (b byPlace) Less(i, j int) bool { return b[i].place < b[j].place }
func (b byPlace) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }
func (b *byPlace) Push(m any)        { *b = append(*b, m.(*outgoing)) } //nolint:forcetypeassert // it has no others
func (b *byPlace) Pop() any {
	last := len(*b) - 1
	m := (*b)[last]
	(*b)[last], *b = nil, (*b)[:last]
	return m
}

// forget drops all refusals.
func (r *refusals) forget() {
	clear(r.of)
	r.unwitnessed = nil
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
		heap.Push(&p.refusals.unwitnessed, m)
	}
	r.count++
	r.err = why.Error
	switch {
	case r.kept || r.count >= mostRefusals && r.witnessed:
		p.giveUpLocked(m, DropRefused, r.err)
	case r.count >= mostRefusals: // the messages behind it show whether the server takes any
		now := time.Now()
		r.retryAt = together(now.Add(pauseAfter(r.count)))
		p.next = 0
		p.wakeAtLocked(r.retryAt, now)
	default:
		p.holdLocked(pauseAfter(r.count))
	}
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
// whether the messages behind it may.
func (p *Pipe) mayRetryLocked(m *outgoing, now time.Time) (may, passOver bool) {
	if now.Before(p.refusals.until) {
		p.wakeAtLocked(p.refusals.until, now)
		return false, false
	}
	if r := p.refusals.of[m]; r != nil && now.Before(r.retryAt) {
		p.wakeAtLocked(r.retryAt, now)
		return false, true
	}
	return true, false
}

// refusalsWitnessedLocked notes that the destination has taken over the message taken.
func (p *Pipe) refusalsWitnessedLocked(taken *outgoing) {
	waiting := &p.refusals.unwitnessed
	for len(*waiting) > 0 && (*waiting)[0].place <= taken.place {
		m := heap.Pop(waiting).(*outgoing) //nolint:forcetypeassert // it has no others
		r := p.refusals.of[m]
		if r == nil || r.kept {
			continue
		}
		r.witnessed = true
		if r.count >= mostRefusals && !m.inflight { // once more, when the server has rested
			r.retryAt = time.Time{}
			p.holdLocked(pauseAfter(mostRefusals))
		}
	}
}
