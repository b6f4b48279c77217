// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"cmp"
	"slices"
	"time"
)

// Unforwardable says what happens to a message that no server of the destination accepts.
// The zero value drops it, which acknowledges it to its source.
type Unforwardable struct {
	// Block keeps the message in front of the messages behind it, and sends it again every
	// 30 seconds.
	Block bool
	// DeadLetter is the topic under which the message is published on the source side. If
	// it is empty, the message is not published. The message is acknowledged to its source
	// when the dead letter is acknowledged. Dead letters need [Pipe.SetReverse].
	DeadLetter string
}

// UnforwardableMessage is a message that no server of the destination accepts.
type UnforwardableMessage struct {
	// Topic is the topic on the destination.
	Topic string
	// Bytes is the size of the payload.
	Bytes int
	QoS   byte
	// Cause is DropRefused, DropTooLarge or DropUnforwardable.
	Cause string
	// Err is why the message is not accepted. Package diagnosis explains it.
	Err  error
	Fate Fate
	// DeadLetter is the topic of the dead letter. It is empty unless Fate is FateDeadLetter.
	DeadLetter string
}

// Fate is what happens to a message that no server accepts.
type Fate string

// The fates of messages that no server accepts.
const (
	FateDropped    Fate = "dropped"     // the message is acknowledged to its source
	FateDeadLetter Fate = "dead_letter" // the message is acknowledged to its source after its dead letter is published
	FateBlocks     Fate = "kept"        // the message blocks its direction and is tried again
)

// blockedRetry is the time between two attempts to send a message that blocks its
// direction.
const blockedRetry = 30 * time.Second

// giveUpLocked ends the attempts to send m, as the policy says.
func (p *Pipe) giveUpLocked(m *outgoing, cause string, why error) {
	policy := &p.opts.Unforwardable
	given := UnforwardableMessage{Topic: m.Topic, Bytes: len(m.Payload), QoS: m.QoS, Cause: cause, Err: why, Fate: FateDropped}
	switch {
	case policy.Block && (m.QoS > 0 || m.origin != nil && m.origin.awaitsAck()):
		given.Fate = FateBlocks
		p.meter.Unforwardable(given)
		p.traceRefusalLocked(m, why)
		p.keepBlockedLocked(m, cause, why)
	case policy.DeadLetter == "" || p.reverse == nil || m.isDeadLetter(policy.DeadLetter):
		p.meter.Unforwardable(given)
		p.endSpanLocked(m, Outcome{Result: ResultDropped, Cause: cause, Err: why})
		p.dropLocked(m, cause)
	default:
		given.Fate, given.DeadLetter = FateDeadLetter, policy.DeadLetter
		p.meter.Unforwardable(given)
		p.endSpanLocked(m, Outcome{Result: ResultDeadLetter, Cause: cause, Err: why})
		p.awaitDeadLetterLocked(m, cause, why)
	}
}

// keepBlockedLocked keeps m in front of the other messages, and plans the next attempt.
func (p *Pipe) keepBlockedLocked(m *outgoing, cause string, why error) {
	r := p.refusals.byMessage[m]
	if r == nil {
		r = &refusal{}
		p.refusals.byMessage[m] = r
	}
	r.blocks, r.cause, r.err, r.count = true, cause, why, max(r.count, 1)
	p.refusals.blocking = m
	p.isolation.repeatTrialLocked(m, time.Now().Add(blockedRetry))
	p.pauseSendingLocked(blockedRetry)
}

// releaseBlockedLocked gives up the messages that were kept, because the policy is not Block any
// more, and lets the messages behind them be sent at once. A message that is in flight, or that
// another server may accept, has one more attempt.
func (p *Pipe) releaseBlockedLocked() {
	var kept []*outgoing
	for m, r := range p.refusals.byMessage {
		if r.blocks && m.progress == queued {
			kept = append(kept, m)
		}
	}
	if len(kept) == 0 && p.refusals.blocking == nil {
		return
	}
	slices.SortFunc(kept, func(a, b *outgoing) int { return cmp.Compare(a.seq, b.seq) })
	for _, m := range kept {
		r := p.refusals.byMessage[m]
		p.giveUpLocked(m, r.cause, r.err)
	}
	p.refusals.pauseUntil, p.isolation.holdUntil, p.next = time.Time{}, time.Time{}, 0
}

// unblockLocked reports that m no longer blocks the direction, if it did.
func (p *Pipe) unblockLocked(m *outgoing) {
	if m != nil && p.refusals.blocking == m {
		p.refusals.blocking = nil
		p.meter.Unblocked()
	}
}

// forgetInSessionLocked removes m, which is not sent again, from the session in which it
// is in flight.
func (p *Pipe) forgetInSessionLocked(m *outgoing) {
	switch {
	case p.lastState == nil:
	case m == p.isolation.suspect:
		p.lastState.GiveUp(&m.Outgoing)
	default:
		p.lastState.Forget(&m.Outgoing)
	}
	p.leaveFlightLocked(m)
}
