// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// The payloads of notifications.
const (
	forwarding    = "1"
	notForwarding = "0"
)

// notifier publishes on both sides whether the bridge forwards: a retained message, whose
// payload is 1 while both sides are up, and 0 otherwise.
//
// It promises that each session that is up receives the latest state, in order, as soon as
// it can publish. If the connection is lost, the server publishes the Will instead. A server
// that crashes loses the Wills of its clients; it receives the state when the bridge connects
// again. Therefore the notifier publishes 0 on a side that comes up alone.
//
// Its methods do not block. They write notifications, and their caller sends them by Flush,
// without mu, because Flush may call ready. A notifier without a topic sends nothing. Lock order:
// mu, then the locks of a session.
type notifier struct {
	flusher *session.Flusher
	log     *slog.Logger

	mu       sync.Mutex // guards the fields below
	topic    string     // empty: there are no notifications
	qos      byte       // 0 or 1
	up       []*recipient
	inflight map[*session.State][]*session.Outgoing // the unacknowledged notifications, in the order of sending
	backoffs map[*session.State]*notificationBackoff
	stopping bool
}

// sides is the number of sides that must be up so that the bridge forwards.
const sides = 2

// recipient is a session that is up, and the latest notification that was sent to it.
type recipient struct {
	s        *session.Session
	lastSent string    // its payload; empty: none
	sentAt   time.Time // zero: none
	closing  bool      // whether the connector is about to close the session
}

func newNotifier(n config.Notifications, flusher *session.Flusher, log *slog.Logger) *notifier {
	return &notifier{topic: n.Topic, qos: n.QoS, flusher: flusher, log: report.Async(log), inflight: map[*session.State][]*session.Outgoing{}, backoffs: map[*session.State]*notificationBackoff{}}
}

// will returns the message that the server publishes when it loses the connection to the
// bridge. It returns nil if there are no notifications.
func (n *notifier) will() *packet.Will {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.topic == "" {
		return nil
	}
	return &packet.Will{Topic: n.topic, Payload: notForwarding, QoS: n.qos, Retain: true}
}

// change replaces the topic and the QoS. If the topic changes, each session that is up receives 0
// under the earlier topic, as at the end of the bridge, and then the state under the new topic.
// Other servers have 0 under the earlier topic since the bridge has left them. The Will of a
// session has the earlier topic until the connector renews the connection. The caller calls Flush.
func (n *notifier) change(next config.Notifications) {
	n.update(func() {
		if next.Topic != n.topic {
			n.leaveTopicLocked()
		}
		n.topic, n.qos = next.Topic, next.QoS
	})
}

// leaveTopicLocked publishes 0 under the topic, and forgets the notifications that were sent under
// it. A server that forbids this topic may permit the next one.
func (n *notifier) leaveTopicLocked() {
	for i, to := range n.up {
		n.sendStateLocked(to, notForwarding, true)
		n.up[i] = &recipient{s: to.s, closing: to.closing}
	}
	clear(n.backoffs)
}

// sessionUp is called when the session of a side is up.
func (n *notifier) sessionUp(s *session.Session) {
	n.update(func() { n.up = append(n.up, &recipient{s: s}) })
}

// sessionDown is called when a session is lost.
func (n *notifier) sessionDown(s *session.Session) {
	n.update(func() {
		for i := range n.up {
			if n.up[i].s == s {
				n.backOffLocked(n.up[i])
				n.up = append(n.up[:i:i], n.up[i+1:]...)
				return
			}
		}
	})
}

// backOffLocked delays the notifications to a server whose session has ended, if the server
// ends sessions at notifications.
func (n *notifier) backOffLocked(to *recipient) {
	state, now := to.s.State(), time.Now()
	b := n.backoffs[state]
	if b == nil {
		b = &notificationBackoff{}
		n.backoffs[state] = b
	}
	unanswered := len(n.inflight[state]) > 0 || n.qos == 0 && !to.sentAt.IsZero() && now.Sub(to.sentAt) < promptEnd
	if delay, delayed := b.sessionEnded(to.s.Ending(), unanswered, now); delayed {
		n.log.Warn("a server ends the session whenever it receives a notification; the bridge sends it no notifications during the delay, and continues to forward messages; allow the bridge's user to publish to the topic, or remove notifications",
			"topic", n.topic, "delay", delay)
		time.AfterFunc(delay, func() {
			n.update(func() {})
			n.flusher.Flush()
		})
	}
}

// closing is called before the connector closes a session that is up. It publishes 0 on the session,
// because servers delete the Will when they receive DISCONNECT ([MQTT-3.1.2-10]).
func (n *notifier) closing(s *session.Session) {
	n.update(func() {
		for _, to := range n.up {
			to.closing = to.closing || to.s == s
		}
	})
}

// replaced is called when a side goes on with another session. The old session ends afterwards, or has
// ended.
func (n *notifier) replaced(old, next *session.Session) {
	n.closing(old)
	n.update(func() {
		for i, to := range n.up {
			if to.s == old {
				n.up[i] = &recipient{s: next}
			}
		}
	})
}

// stop publishes 0 on all sessions, as closing does.
func (n *notifier) stop() {
	n.update(func() { n.stopping = true })
}

// ready is called when a session that returned Full may accept messages again.
func (n *notifier) ready(s *session.Session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, to := range n.up {
		if to.s == s {
			n.notifyLocked(to)
		}
	}
}

// tryLock takes the lock and releases it.
func (n *notifier) tryLock() {
	n.mu.Lock()
	n.mu.Unlock() //nolint:gocritic,staticcheck // the section is empty on purpose
}

// acknowledged is called when the server has acknowledged or refused a notification.
func (n *notifier) acknowledged(s *session.Session, m *session.Outgoing, refused *session.Refusal) {
	n.mu.Lock()
	n.keepInflightLocked(s.State(), func(o *session.Outgoing) bool { return o != m })
	delete(n.backoffs, s.State())
	n.mu.Unlock()
	if refused != nil {
		why := diagnosis.Of(refused.Error)
		n.log.Warn("the server refuses a notification; allow the bridge's user to publish to the topic, or remove notifications", "topic", m.Topic, "reason", why.Reason, "message", why.Message)
	}
}

// resendLocked sends again the notifications that were in flight when the connection was
// lost, if the server has resumed the session ([MQTT-4.4.0-1]). It returns false if it could
// not send all of them.
func (n *notifier) resendLocked(to *recipient) bool {
	state := to.s.State()
	n.keepInflightLocked(state, state.InFlight)
	for _, m := range n.inflight[state] {
		if to.s.Publish(m, time.Now()) != session.Sent {
			return false
		}
	}
	return true
}

// update applies a change to the notifier, and writes the new state to each session that has
// not received it.
func (n *notifier) update(apply func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	apply()
	for _, to := range n.up {
		n.notifyLocked(to)
	}
}

// notifyLocked sends the current state to a session, if the session has not received it.
func (n *notifier) notifyLocked(to *recipient) {
	last, state := n.stopping || to.closing, notForwarding
	if len(n.up) == sides && !last {
		state = forwarding
	}
	n.sendStateLocked(to, state, last)
}

// sendStateLocked sends a state to a session, if it is not the latest state that was sent to it.
// last is true if there is no later chance to send it.
func (n *notifier) sendStateLocked(to *recipient, state string, last bool) {
	if b := n.backoffs[to.s.State()]; b != nil && time.Now().Before(b.until) {
		n.dropInflightLocked(to.s.State())
		return
	}
	if to.lastSent == state || !n.resendLocked(to) {
		return
	}
	if n.topic == "" {
		to.lastSent = state
		return
	}
	qos := n.qos
	for {
		m := n.message(state, qos)
		switch to.s.Publish(m, time.Now()) {
		case session.Sent:
			n.inflight[to.s.State()] = append(n.inflight[to.s.State()], m)
			to.lastSent, to.sentAt = state, time.Now()
		case session.Written:
			to.lastSent, to.sentAt = state, time.Now()
		case session.Full:
			if last && qos > 0 { // QoS 0 needs no room in the window
				qos = 0
				continue
			}
		case session.TooLarge:
			to.lastSent = state // another attempt would fail, too
			n.log.Warn("the notification is larger than the server's maximum packet size; raise the server's limit, or shorten notifications.topic", "topic", n.topic)
		case session.Expired, session.Ended: // a notification does not expire; a session that has ended needs none
		}
		return
	}
}

// keepInflightLocked forgets the notifications in flight for which keep returns false. A session
// without notifications has no entry, because its server may be removed from the list.
func (n *notifier) keepInflightLocked(state *session.State, keep func(*session.Outgoing) bool) {
	left := slices.DeleteFunc(n.inflight[state], func(m *session.Outgoing) bool { return !keep(m) })
	if n.inflight[state] = left; len(left) == 0 {
		delete(n.inflight, state)
	}
}

// dropInflightLocked drops the notifications that are in flight.
func (n *notifier) dropInflightLocked(state *session.State) {
	for _, m := range n.inflight[state] {
		state.Forget(m)
	}
	delete(n.inflight, state)
}

func (n *notifier) message(state string, qos byte) *session.Outgoing {
	return &session.Outgoing{
		Message:    session.Message{Topic: n.topic, Payload: state, QoS: qos, Retain: true},
		ReceivedAt: time.Now(),
	}
}
