// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"container/heap"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// A server may refuse a message by a reason code because of the message, or because of
// its own state: it may be out of quota, or have a problem. If the code does not say that
// it is about the message, the message is sent again after pauses, which grow. It is
// given up only if the server has accepted a message from behind it meanwhile, and
// refuses it once more. A server that limits the rate accepts the messages in front.
const (
	maxRefusals  = 5
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
)

// refusals describes the messages that the destination has refused and may accept later.
type refusals struct {
	byMessage map[*outgoing]*refusal
	// unwitnessed holds the messages whose refusal is not witnessed, oldest first. It may
	// also hold messages that have left byMessage since.
	unwitnessed bySeq
	// pauseUntil is the time before which nothing is sent.
	pauseUntil time.Time
	// blocking is the message that was given up and is kept; nil if there is none.
	blocking *outgoing
}

// refusal describes how often, and why, the destination has refused a message.
type refusal struct {
	// count is the number of refusals.
	count int
	// witnessed says that the server has accepted a message from behind this one since the
	// first refusal.
	witnessed bool
	// retryAt is the time before which the message is not sent again.
	retryAt time.Time
	// blocks says that the message was given up and is kept, because the policy is Block.
	blocks bool
	// cause is the cause for which it was given up. It is valid if blocks is set.
	cause string
	err   error
}

// started is the origin of the times that roundUpRetry returns.
var started = time.Now()

// roundUpRetry returns a time soon after t that is the same for many values of t, because
// each time at which messages are sent again costs a pass over the whole queue.
func roundUpRetry(t time.Time) time.Time {
	return started.Add(t.Sub(started).Truncate(firstPause) + firstPause)
}

// bySeq is a heap of messages, ordered by seq.
type bySeq []*outgoing

func (b bySeq) Len() int           { return len(b) }
func (b bySeq) Less(i, j int) bool { return b[i].seq < b[j].seq }
func (b bySeq) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }
func (b *bySeq) Push(m any)        { *b = append(*b, m.(*outgoing)) } //nolint:forcetypeassert // all items are *outgoing
func (b *bySeq) Pop() any {
	last := len(*b) - 1
	m := (*b)[last]
	(*b)[last], *b = nil, (*b)[:last]
	return m
}

// resetLocked forgets all refusals.
func (r *refusals) resetLocked() {
	clear(r.byMessage)
	r.unwitnessed = nil
}

// pauseAfter returns the pause after a number of refusals in a row. It doubles from
// firstPause to longestPause.
func pauseAfter(refusals int) time.Duration {
	return min(firstPause<<min(refusals-1, 16), longestPause)
}

// refusedLocked handles a message that the destination has refused.
func (p *Pipe) refusedLocked(m *outgoing, why *session.Refusal) {
	if why.Final() {
		p.giveUpLocked(m, DropRefused, why.Error)
		return
	}
	r := p.refusals.byMessage[m]
	if r == nil {
		r = &refusal{}
		p.refusals.byMessage[m] = r
		heap.Push(&p.refusals.unwitnessed, m)
	}
	r.count++
	r.err = why.Error
	switch {
	case r.blocks || r.count >= maxRefusals && r.witnessed:
		p.giveUpLocked(m, DropRefused, r.err)
	case r.count >= maxRefusals: // the messages behind it show whether the server accepts any
		p.traceRefusalLocked(m, r.err)
		now := time.Now()
		r.retryAt = roundUpRetry(now.Add(pauseAfter(r.count)))
		p.next = 0
		p.wakeAtLocked(r.retryAt, now)
	default:
		p.traceRefusalLocked(m, r.err)
		p.pauseSendingLocked(pauseAfter(r.count))
	}
}

// pauseSendingLocked sends nothing for the given time, and then starts with the oldest
// message.
func (p *Pipe) pauseSendingLocked(pause time.Duration) {
	now := time.Now()
	if until := now.Add(pause); until.After(p.refusals.pauseUntil) {
		p.refusals.pauseUntil = until
	}
	p.next = 0
	p.wakeAtLocked(p.refusals.pauseUntil, now)
}

// mayRetryLocked reports whether the refusals allow m to be sent now. If not, skip
// reports whether the messages behind it may be sent.
func (p *Pipe) mayRetryLocked(m *outgoing, now time.Time) (may, skip bool) {
	if now.Before(p.refusals.pauseUntil) {
		p.wakeAtLocked(p.refusals.pauseUntil, now)
		return false, false
	}
	if r := p.refusals.byMessage[m]; r != nil && now.Before(r.retryAt) {
		p.wakeAtLocked(r.retryAt, now)
		return false, true
	}
	return true, false
}

// witnessRefusalsLocked marks the refused messages in front of accepted as witnessed,
// because the destination has acknowledged accepted.
func (p *Pipe) witnessRefusalsLocked(accepted *outgoing) {
	waiting := &p.refusals.unwitnessed
	for len(*waiting) > 0 && (*waiting)[0].seq <= accepted.seq {
		m := heap.Pop(waiting).(*outgoing) //nolint:forcetypeassert // all items are *outgoing
		r := p.refusals.byMessage[m]
		if r == nil || r.blocks {
			continue
		}
		r.witnessed = true
		if r.count >= maxRefusals && m.progress != inFlight { // once more, after a pause for the server
			r.retryAt = time.Time{}
			p.pauseSendingLocked(pauseAfter(maxRefusals))
		}
	}
}
