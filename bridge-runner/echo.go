// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// echo notices that the server of a side sends the bridge's own messages back,
// although it was asked not to: EMQX takes a client for a bridge of MQTT 3.1.1 and sends
// back all the same, and so does another bridge between the same servers. It is used if
// the rules would then send messages round.
//
// A server that sends back sends back everything, at once. So a session is given up when
// many messages came back within a short time and hardly any did not: a single message
// with the topic and the payload of a published one proves nothing. Until
// then a message goes round that often.
//
// Nothing blocks. A nil echo does nothing.
type echo struct {
	rules []config.Rule // whose messages are published on the side
	back  []config.Rule // that take messages from it
	seed  maphash.Seed

	mu        sync.Mutex
	began     time.Time // the session
	published map[uint64]*published
	order     []*published
	since     time.Time // when it was begun to count
	came      int       // messages that came back
	missed    int       // messages that did not
}

// published is a message that is on its way to the server.
type published struct {
	key  uint64
	at   time.Time
	back bool
}

const (
	// echoes is how many messages have to come back, and echoesPerMiss for each that did
	// not.
	echoes        = 32
	echoesPerMiss = 10
	// echoWithin is how soon a message comes back.
	echoWithin = 10 * time.Second
	// echoCounted is for how long it is counted before it begins again.
	echoCounted = 30 * time.Second
	// echoRetained is for how long after its beginning a session may bring retained
	// messages, which both sides may have alike.
	echoRetained = 30 * time.Second
	// echoHeld is how many messages are remembered.
	echoHeld = 4096
)

var errEcho = &session.Error{
	Reason: v1alpha1.ReasonEchoNotPrevented,
	Message: "the server sends the bridge's own messages back, and by the rules messages go round in a loop; the bridge stays away from it until its runner starts again: " +
		"set protocolVersion: '5' on this side, or change the rules, or look for another bridge between the same servers",
}

// newEcho returns the echo of a side to which rules publish, and from which back takes.
func newEcho(rules, back []config.Rule) *echo {
	return &echo{rules: rules, back: back, seed: maphash.MakeSeed()}
}

// begin forgets all: a session with the side begins.
func (e *echo) begin(now time.Time) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.began, e.since, e.came, e.missed = now, now, 0, 0
	e.published, e.order = map[uint64]*published{}, nil
}

// publish notes the messages that the rules make of a message of the other side, if the
// server could send them back.
func (e *echo) publish(in *session.Inbound) {
	if e == nil {
		return
	}
	for i := range e.rules {
		r := &e.rules[i]
		if !r.Filter.Match(in.Topic) || r.Excludes(in.Topic) {
			continue
		}
		topic, ok := r.Mapping.Map(in.Topic)
		if ok && slices.ContainsFunc(e.back, func(b config.Rule) bool { return b.Filter.Match(topic) }) {
			e.note(e.key(topic, in.Payload), in.At)
		}
	}
}

func (e *echo) note(key uint64, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.age(now)
	if e.published == nil {
		return // there was no session yet
	}
	p := &published{key: key, at: now}
	if len(e.order) == echoHeld {
		e.forget()
	}
	e.published[key], e.order = p, append(e.order, p)
}

// received reports whether the session is to be given up because of this message.
func (e *echo) received(in *session.Inbound) bool {
	if e == nil {
		return false
	}
	key := e.key(in.Topic, in.Payload)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.age(in.At)
	p := e.published[key]
	if p == nil || p.back || in.Retain && in.At.Sub(e.began) < echoRetained {
		return false
	}
	p.back = true
	e.came++
	return e.came >= echoes && e.came >= echoesPerMiss*(e.missed+e.passedOver(p))
}

// passedOver is how many messages were published before came and have not come back: a
// server sends messages in order, apart from different QoS. The lock is held.
func (e *echo) passedOver(came *published) (n int) {
	for _, p := range e.order {
		if p == came {
			break
		}
		if !p.back {
			n++
		}
	}
	return n
}

// age ends the wait for messages that have not come back. The lock is held.
func (e *echo) age(now time.Time) {
	if now.Sub(e.since) > echoCounted {
		e.since, e.came, e.missed = now, 0, 0
	}
	for len(e.order) > 0 && now.Sub(e.order[0].at) > echoWithin {
		if !e.order[0].back {
			e.missed++
		}
		e.forget()
	}
}

// forget drops the oldest message. The lock is held.
func (e *echo) forget() {
	p := e.order[0]
	e.order = e.order[1:]
	if e.published[p.key] == p {
		delete(e.published, p.key)
	}
}

func (e *echo) key(topic, payload string) uint64 {
	var h maphash.Hash
	h.SetSeed(e.seed)
	_, _ = h.WriteString(topic) // never fails
	_ = h.WriteByte(0)
	_, _ = h.WriteString(payload)
	return h.Sum64()
}
