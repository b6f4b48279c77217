// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"strconv"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// Unforwardable says what happens to a message that no server of the destination takes.
// The zero value drops it, which acknowledges it to its source.
type Unforwardable struct {
	// Block keeps it in front of the messages behind it, and tries it again every 30
	// seconds, or on the next connection.
	Block bool
	// DeadLetter publishes it on the source side under this topic; empty: it does not. The
	// message is acknowledged to its source when the dead letter is acknowledged.
	DeadLetter string
	// Reverse is the pipe to the source side.
	Reverse *Pipe
}

// blockedRetry is how long a message that blocks its direction is left alone.
const blockedRetry = 30 * time.Second

var errTooLarge = &session.Error{
	Reason:  v1alpha1.ReasonPublishRefused,
	Message: "the message is larger than the server's maximum packet size; raise the server's limit, or send smaller messages",
}

// User properties of dead letters (MQTT 5 section 3.3.2.3.7).
const (
	propertyTopic  = "mqttbridge-topic"
	propertyReason = "mqttbridge-reason"
	propertyQoS    = "mqttbridge-qos"
)

// giveUpLocked ends the attempts to send m, as the policy says.
func (p *Pipe) giveUpLocked(m *outgoing, cause string, why *session.Error) {
	policy := &p.opts.Unforwardable
	if policy.Block && (m.QoS > 0 || m.origin != nil && m.origin.waits()) {
		p.keepBlockedLocked(m, cause, why)
		return
	}
	p.meter.GivenUp(m.Topic, len(m.Payload), cause, why, false)
	if policy.DeadLetter == "" || policy.Reverse == nil || m.isDeadLetter() {
		p.drop(m, cause)
		return
	}
	p.forgetLocked(m)
	p.goneLocked(m)
	p.unwait(m)
	m.parked = true
	p.meter.Dropped(cause)
	letter := deadLetter(m, policy.DeadLetter, why)
	go policy.Reverse.sendDeadLetter(letter, m.At, func() { p.buried(m) }) // the other pipe has a lock of its own
}

// keepBlockedLocked keeps m in front.
func (p *Pipe) keepBlockedLocked(m *outgoing, cause string, why *session.Error) {
	r := p.refusals.of[m]
	if r == nil {
		r = &refusal{}
		p.refusals.of[m] = r
	}
	if !r.kept {
		p.meter.GivenUp(m.Topic, len(m.Payload), cause, why, true)
	}
	r.kept, r.err, r.count = true, why, max(r.count, 1)
	p.isolation.trials = 0
	p.isolation.holdUntil = time.Now().Add(blockedRetry)
	p.holdLocked(blockedRetry)
}

// isDeadLetter reports whether m came from the other direction's pipe.
func (m *outgoing) isDeadLetter() bool { return m.origin != nil && m.origin.in == nil }

// deadLetter is the message that takes the place of m.
func deadLetter(m *outgoing, topic string, why *session.Error) session.Message {
	letter := session.Message{Topic: topic, Payload: m.Payload, QoS: 1}
	properties := packet.Properties{}
	if m.Properties != nil {
		properties = *m.Properties
	}
	properties.Expires = false
	properties.User = properties.User.With(
		packet.UserProperty{Name: propertyTopic, Value: m.Topic},
		packet.UserProperty{Name: propertyQoS, Value: strconv.Itoa(int(m.QoS))},
		packet.UserProperty{Name: propertyReason, Value: why.Message})
	letter.Properties = &properties
	return letter
}

// sendDeadLetter takes in a message of the other direction's pipe. done is called when it
// needs its source no more.
func (p *Pipe) sendDeadLetter(letter session.Message, at time.Time, done func()) {
	p.mu.Lock()
	o := &origin{done: done}
	m := &o.only
	m.origin, m.At, m.Owner, m.Message = o, at, m, letter
	if p.disk != nil && p.dest == nil {
		p.enter()
	}
	p.push(m)
	p.pump()
	p.release()
	dest := p.dest
	p.mu.Unlock()
	if dest != nil {
		dest.Flush()
	}
}

// buried notes that the dead letter of m is in its place.
func (p *Pipe) buried(m *outgoing) {
	p.mu.Lock()
	m.done = true
	p.pump()
	p.release()
	p.mu.Unlock()
	p.opts.Flush()
}

// forgetLocked has the session forget m, if it is in flight there and is not to be sent
// again.
func (p *Pipe) forgetLocked(m *outgoing) {
	if p.last != nil {
		p.last.Forget(&m.Outgoing)
	}
	if m.inflight {
		m.inflight = false
		p.inflight--
	}
}

func asError(err error) *session.Error {
	var e *session.Error
	if errors.As(err, &e) {
		return e
	}
	return &session.Error{Reason: v1alpha1.ReasonConnectionClosed, Message: "the session ended"}
}
