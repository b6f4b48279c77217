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

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// User properties of dead letters (MQTT 5 section 3.3.2.3.7).
const (
	propertyTopic  = "mqttbridge-topic"
	propertyReason = "mqttbridge-reason"
	propertyQoS    = "mqttbridge-qos"
)

// longestReason is the size of a reason in a dead letter, in bytes.
const longestReason = 1024

// letter is a dead letter on its way to the other direction's pipe.
type letter struct {
	m   *outgoing // the message that it takes the place of
	why *session.Error
}

// SetReverse makes reverse, which brings messages to the source side, publish the dead
// letters. It must be called before the first message.
func (p *Pipe) SetReverse(reverse *Pipe) { p.reverse = reverse }

// parkLocked has m wait until its dead letter is acknowledged.
func (p *Pipe) parkLocked(m *outgoing, cause string, why *session.Error) {
	p.forgetLocked(m)
	p.goneLocked(m)
	m.parked = true // at QoS 0 it counts as waiting, so that dead letters are bounded
	p.meter.Dropped(cause)
	p.letters = append(p.letters, letter{m, why})
	if len(p.letters) == 1 {
		go p.sendLetters() // the other pipe has a lock of its own
	}
}

// sendLetters hands the dead letters to the other pipe, in their order.
func (p *Pipe) sendLetters() {
	for {
		p.mu.Lock()
		letters := slices.Clone(p.letters)
		p.mu.Unlock()
		for _, l := range letters {
			p.reverse.sendDeadLetter(l.message(p.opts.Unforwardable.DeadLetter), l.m.At, func() { p.buried(l.m) })
		}
		p.mu.Lock()
		p.letters = slices.Delete(p.letters, 0, len(letters))
		done := len(p.letters) == 0
		p.mu.Unlock()
		if done {
			return
		}
	}
}

// message returns the dead letter.
func (l letter) message(topic string) session.Message {
	properties := packet.Properties{}
	if l.m.Properties != nil {
		properties = *l.m.Properties
	}
	properties.Expires = false
	if !utf8.ValidString(l.m.Payload) {
		properties.PayloadUTF8 = false // the server may have refused it for that
	}
	properties.User = properties.User.With(
		packet.UserProperty{Name: propertyTopic, Value: printable(l.m.Topic)},
		packet.UserProperty{Name: propertyQoS, Value: strconv.Itoa(int(l.m.QoS))},
		packet.UserProperty{Name: propertyReason, Value: printable(cut(l.why.Message, longestReason))})
	return session.Message{Topic: topic, Payload: l.m.Payload, QoS: 1, Properties: &properties}
}

// printable returns s with escapes in place of characters at which a server may end the
// session.
func printable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	q := strconv.Quote(s)
	return cut(q[1:len(q)-1], math.MaxUint16) // the longest text that MQTT has
}

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

// isDeadLetter reports whether m came from the other direction's pipe, directly or by way
// of the disk.
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

// sendDeadLetter takes in a dead letter of the other direction's pipe. done is called when
// it needs its source no more.
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
	p.unwait(m)
	m.done = true
	p.clearLocked(m)
	p.pump()
	p.release()
	p.mu.Unlock()
	p.opts.Flush()
}
