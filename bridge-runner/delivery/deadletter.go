// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// The names of the user properties of dead letters (MQTT 5 section 3.3.2.3.7).
const (
	propertyTopic  = "mqttbridge-topic"
	propertyReason = "mqttbridge-reason"
	propertyQoS    = "mqttbridge-qos"
)

// maxReason is the maximum size of a reason in a dead letter, in bytes.
const maxReason = 1024

// deadLetter is a dead letter on its way to the pipe of the other direction.
type deadLetter struct {
	m     *outgoing // the message that the dead letter replaces
	topic string
	why   error
}

// SetReverse makes reverse publish the dead letters. reverse is the pipe that carries
// messages to the source side. SetReverse must be called before the first message.
func (p *Pipe) SetReverse(reverse *Pipe) { p.reverse = reverse }

// awaitDeadLetterLocked replaces m by a dead letter. m is done when the dead letter has
// settled.
func (p *Pipe) awaitDeadLetterLocked(m *outgoing, cause string, why error) {
	p.forgetInSessionLocked(m)
	p.untrackLocked(m)
	if m.origin != nil {
		m.origin.payloadShared = true
	}
	p.replaceByDeadLetterLocked(m) // a QoS 0 message stays counted in qos0Bytes, so that dead letters are bounded
	p.meter.Dropped(cause)
	p.deadLetters = append(p.deadLetters, deadLetter{m, p.opts.Unforwardable.DeadLetter, why})
	if len(p.deadLetters) == 1 {
		go p.sendDeadLetters() // it takes the lock of the other pipe
	}
}

// sendDeadLetters passes the dead letters to the other pipe, in order.
func (p *Pipe) sendDeadLetters() {
	for {
		p.mu.Lock()
		letters := slices.Clone(p.deadLetters)
		p.mu.Unlock()
		for _, l := range letters {
			p.reverse.receiveDeadLetter(l.message(), l.m.ReceivedAt, func() { p.deadLetterSettled(l.m) })
		}
		p.mu.Lock()
		p.deadLetters = slices.Delete(p.deadLetters, 0, len(letters))
		done := len(p.deadLetters) == 0
		p.mu.Unlock()
		if done {
			return
		}
	}
}

// message returns the dead letter as a message.
func (l deadLetter) message() session.Message {
	properties := packet.Properties{}
	if l.m.Properties != nil {
		properties = *l.m.Properties
	}
	properties.Expires = false
	if !utf8.ValidString(l.m.Payload) {
		properties.PayloadUTF8 = false // the server may have refused the message because of it
	}
	properties.User = properties.User.With(
		packet.UserProperty{Name: propertyTopic, Value: printable(l.m.Topic)},
		packet.UserProperty{Name: propertyQoS, Value: strconv.Itoa(int(l.m.QoS))},
		packet.UserProperty{Name: propertyReason, Value: printable(truncate(diagnosis.Of(l.why).Message, maxReason))})
	return session.Message{Topic: l.topic, Payload: l.m.Payload, QoS: 1, Properties: &properties}
}

// printable returns s with escapes in place of the characters at which a server may end
// the session.
func printable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	q := strconv.Quote(s)
	return truncate(q[1:len(q)-1], math.MaxUint16) // the longest string in MQTT
}

func truncate(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "")
}

// isDeadLetter reports whether m came from the other direction's pipe, directly or
// through the disk.
func (m *outgoing) isDeadLetter(topic string) bool {
	if m.origin != nil {
		return m.origin.in == nil
	}
	if m.Topic != topic || m.Properties == nil {
		return false
	}
	for name := range m.Properties.User.All() {
		if name == propertyReason {
			return true
		}
	}
	return false
}

// receiveDeadLetter takes in a dead letter of the other direction's pipe. onSettled is
// called when the dead letter has settled.
func (p *Pipe) receiveDeadLetter(message session.Message, at time.Time, onSettled func()) {
	p.mu.Lock()
	defer p.unlockAndFlush()
	o := &origin{onSettled: onSettled}
	m := &o.first
	m.origin, m.ReceivedAt, m.Owner, m.Message = o, at, m, message
	if p.dest == nil {
		p.spool.needLocked()
	}
	p.pushLocked(m)
	p.pumpLocked()
	p.dequeueDoneLocked()
}

// deadLetterSettled marks m as done: its dead letter has settled.
func (p *Pipe) deadLetterSettled(m *outgoing) {
	p.mu.Lock()
	defer p.unlockAndFlush()
	p.uncountQoS0Locked(m)
	p.finishLocked(m)
	p.pumpLocked()
	p.dequeueDoneLocked()
}
