// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// What notifications say.
const (
	forwarding    = "1"
	notForwarding = "0"
)

// notifier tells the clients of both sides whether the bridge forwards: by a retained
// message, which is 1 while both sides are up, and 0 else.
//
// It promises that each session that is up has been told the latest, in order, as soon
// as it takes messages. What a session cannot be told any more is its Will, which its
// server publishes. A server that lost its Wills, in a crash of its own, is told when
// it is connected again: hence the 0 on a side that comes up alone.
//
// Nothing blocks. A nil notifier does nothing.
type notifier struct {
	topic string
	qos   byte
	log   *slog.Logger

	mu       sync.Mutex
	up       []*notified
	inflight map[*session.State][]*session.Outgoing // in the order in which they were sent
	wary     map[*session.State]*reluctance
	stopping bool
}

// sides is how many have to be up to forward.
const sides = 2

// notified is a session that is up, and what it was told.
type notified struct {
	s    *session.Session
	told string
	at   time.Time // when it was told
}

func newNotifier(n *v1alpha1.Notifications, log *slog.Logger) *notifier {
	if n == nil {
		return nil
	}
	return &notifier{topic: n.Topic, qos: byte(*n.QoS & 1), log: report.Late(log), inflight: map[*session.State][]*session.Outgoing{}, wary: map[*session.State]*reluctance{}}
}

// will returns what the server publishes when it loses the bridge.
func (n *notifier) will() *packet.Will {
	if n == nil {
		return nil
	}
	return &packet.Will{Topic: n.topic, Payload: notForwarding, QoS: n.qos, Retain: true}
}

// sessionUp says that a side is up.
func (n *notifier) sessionUp(s *session.Session) {
	n.change(func() { n.up = append(n.up, &notified{s: s}) })
}

// sessionDown says that a session is lost.
func (n *notifier) sessionDown(s *session.Session) {
	n.change(func() {
		for i := range n.up {
			if n.up[i].s == s {
				n.ended(n.up[i])
				n.up = append(n.up[:i:i], n.up[i+1:]...)
				return
			}
		}
	})
}

// ended puts notifications off if the server ends sessions at them. The lock is held.
func (n *notifier) ended(to *notified) {
	state, now := to.s.State(), time.Now()
	r := n.wary[state]
	if r == nil {
		r = &reluctance{}
		n.wary[state] = r
	}
	unanswered := len(n.inflight[state]) > 0 || n.qos == 0 && !to.at.IsZero() && now.Sub(to.at) < promptEnd
	if delay, off := r.ended(to.s.Ending(), unanswered, now); off {
		n.log.Warn("a server ends the session at each notification; none is sent to it for a while, and messages go on; allow the bridge's user to publish to the topic, or remove notifications",
			"topic", n.topic, "delay", delay)
		time.AfterFunc(delay, func() { n.change(func() {}) })
	}
}

// replaced says that a side has left a session, which is told so before it ends with
// DISCONNECT, for another one.
func (n *notifier) replaced(old, next *session.Session) {
	if n == nil {
		return
	}
	n.mu.Lock()
	for i, to := range n.up {
		if to.s == old {
			n.tellState(to, notForwarding)
			n.up[i] = &notified{s: next}
		}
	}
	n.mu.Unlock()
	n.change(func() {})
	old.Flush()
}

// stop says that the bridge forwards no more, before the sessions end with DISCONNECT,
// at which servers delete the Will ([MQTT-3.1.2-10]).
func (n *notifier) stop() {
	n.change(func() { n.stopping = true })
}

// ready is called when a session that had no room may have some.
func (n *notifier) ready(s *session.Session) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, to := range n.up {
		if to.s == s {
			n.tell(to)
		}
	}
}

// tryLock takes the lock, and releases it.
func (n *notifier) tryLock() {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.mu.Unlock() //nolint:gocritic,staticcheck // the section is empty on purpose
}

// acknowledged notes the server's answer.
func (n *notifier) acknowledged(s *session.Session, m *session.Outgoing, refused *session.Refusal) {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.inflight[s.State()] = slices.DeleteFunc(n.inflight[s.State()], func(o *session.Outgoing) bool { return o == m })
	delete(n.wary, s.State())
	n.mu.Unlock()
	if refused != nil {
		n.log.Warn("a notification was refused", "topic", n.topic, "reason", refused.Reason, "message", refused.Message)
	}
}

// resend sends again the notifications that were in flight when the connection was lost, in
// a session that the server has resumed ([MQTT-4.4.0-1]). It reports whether all are sent.
// The lock is held.
func (n *notifier) resend(to *notified) bool {
	state := to.s.State()
	n.inflight[state] = slices.DeleteFunc(n.inflight[state], func(m *session.Outgoing) bool { return !state.Holds(m) })
	for _, m := range n.inflight[state] {
		if to.s.Publish(m, time.Now()) != session.Sent {
			return false
		}
	}
	return true
}

// change changes what is up and tells every session that has to know.
func (n *notifier) change(apply func()) {
	if n == nil {
		return
	}
	n.mu.Lock()
	apply()
	up := append([]*notified(nil), n.up...)
	for _, to := range up {
		n.tell(to)
	}
	n.mu.Unlock()
	for _, to := range up {
		to.s.Flush() // may call ready
	}
}

// tell tells a session whether the bridge forwards, if it was told otherwise. The lock
// is held.
func (n *notifier) tell(to *notified) {
	state := notForwarding
	if len(n.up) == sides && !n.stopping {
		state = forwarding
	}
	n.tellState(to, state)
}

func (n *notifier) tellState(to *notified, state string) {
	if r := n.wary[to.s.State()]; r != nil && time.Now().Before(r.until) {
		n.forget(to.s.State())
		return
	}
	if to.told == state || !n.resend(to) {
		return
	}
	qos := n.qos
	for {
		m := n.message(state, qos)
		switch to.s.Publish(m, time.Now()) {
		case session.Sent:
			n.inflight[to.s.State()] = append(n.inflight[to.s.State()], m)
			to.told, to.at = state, time.Now()
		case session.Written:
			to.told, to.at = state, time.Now()
		case session.Full:
			if n.stopping && qos > 0 { // there is no later
				qos = 0
				continue
			}
		case session.TooLarge:
			to.told = state
			n.log.Warn("the server does not take packets of the size of a notification", "topic", n.topic)
		case session.Expired, session.Ended: // not the one, and no more the other
		}
		return
	}
}

// forget ends the notifications that are in flight. The lock is held.
func (n *notifier) forget(state *session.State) {
	for _, m := range n.inflight[state] {
		state.Forget(m)
	}
	delete(n.inflight, state)
}

func (n *notifier) message(state string, qos byte) *session.Outgoing {
	return &session.Outgoing{
		Message: session.Message{Topic: n.topic, Payload: state, QoS: qos, Retain: true},
		At:      time.Now(),
	}
}
