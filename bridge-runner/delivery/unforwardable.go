// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// Unforwardable says what happens to a message that no server of the destination takes.
// The zero value drops it, which acknowledges it to its source.
type Unforwardable struct {
	// Block keeps it in front of the messages behind it, and tries it again every 30
	// seconds.
	Block bool
	// DeadLetter publishes it on the source side under this topic; empty: it does not. The
	// message is acknowledged to its source when the dead letter is acknowledged. It needs
	// [Pipe.SetReverse].
	DeadLetter string
}

// GivenUp is a message that no server of the destination takes.
type GivenUp struct {
	Topic string // on the destination
	Bytes int    // of its payload
	QoS   byte
	Cause string // DropRefused, DropTooLarge or DropUnforwardable
	Why   *session.Error
	Fate  Fate
}

// Fate is what happens to a message that no server takes.
type Fate string

// The fates of messages that no server takes.
const (
	FateDropped    Fate = "dropped"     // it is acknowledged to its source
	FateDeadLetter Fate = "dead_letter" // likewise, after its dead letter was published
	FateKept       Fate = "kept"        // it blocks its direction, and is tried again
)

// blockedRetry is how long a message that blocks its direction is left alone.
const blockedRetry = 30 * time.Second

var errTooLarge = &session.Error{
	Reason:  v1alpha1.ReasonPublishRefused,
	Message: "the message is larger than the server's maximum packet size; raise the server's limit, or send smaller messages",
}

// giveUpLocked ends the attempts to send m, as the policy says.
func (p *Pipe) giveUpLocked(m *outgoing, cause string, why *session.Error) {
	policy := &p.opts.Unforwardable
	given := GivenUp{Topic: m.Topic, Bytes: len(m.Payload), QoS: m.QoS, Cause: cause, Why: why, Fate: FateDropped}
	switch {
	case policy.Block && (m.QoS > 0 || m.origin != nil && m.origin.waits()):
		given.Fate = FateKept
		p.meter.GivenUp(given)
		p.keepBlockedLocked(m, why)
	case policy.DeadLetter == "" || p.reverse == nil || m.isDeadLetter(policy.DeadLetter):
		p.meter.GivenUp(given)
		p.drop(m, cause)
	default:
		given.Fate = FateDeadLetter
		p.meter.GivenUp(given)
		p.parkLocked(m, cause, why)
	}
}

// keepBlockedLocked keeps m in front.
func (p *Pipe) keepBlockedLocked(m *outgoing, why *session.Error) {
	r := p.refusals.of[m]
	if r == nil {
		r = &refusal{}
		p.refusals.of[m] = r
	}
	r.kept, r.err, r.count = true, why, max(r.count, 1)
	p.refusals.blocking = m
	p.isolation.repeatTrialLocked(m, time.Now().Add(blockedRetry))
	p.holdLocked(blockedRetry)
}

// unblockLocked notes that m, if it has blocked the direction, does so no more.
func (p *Pipe) unblockLocked(m *outgoing) {
	if m != nil && p.refusals.blocking == m {
		p.refusals.blocking = nil
		p.meter.Unblocked()
	}
}

// forgetLocked has the session forget m, if it is in flight there and is not to be sent
// again.
func (p *Pipe) forgetLocked(m *outgoing) {
	switch {
	case p.last == nil:
	case m == p.isolation.suspect:
		p.last.GiveUp(&m.Outgoing)
	default:
		p.last.Forget(&m.Outgoing)
	}
	if m.inflight {
		m.inflight = false
		p.inflight--
	}
}
