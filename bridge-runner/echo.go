// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// echoDetectors are the detectors of both sides. setRules may replace them while messages flow:
// each message loads the pointer, which costs no more than to read a field.
type echoDetectors struct{ local, remote atomic.Pointer[echoDetector] }

// setRules replaces the detectors by detectors for other rules. loop is true if the rules form a
// loop when servers send the bridge's own messages back; otherwise there are no detectors, because
// servers may then do so.
func (d *echoDetectors) setRules(localToRemote, remoteToLocal []manifest.Rule, loop bool, now time.Time) {
	var local, remote *echoDetector
	if loop {
		local, remote = newEchoDetector(remoteToLocal, localToRemote), newEchoDetector(localToRemote, remoteToLocal)
		local.begin(now) // the sessions may be up
		remote.begin(now)
	}
	d.local.Store(local)
	d.remote.Store(remote)
}

// echoDetector detects that the server of a side sends the bridge's own messages back,
// although the session asks it not to. EMQX accepts a client as a bridge of MQTT 3.1.1 but
// still sends them back; another bridge between the same servers does so, too. The detector
// is used if the rules would forward such messages in a loop.
//
// A server that sends messages back does so with all messages, at once. One message with the
// topic and the payload of a published message proves nothing. So the session is ended when
// many messages came back within a short time and few did not. Until then a message can go
// round the loop minEchoes times.
//
// Its methods do not block. A nil detector does nothing. mu is the only lock.
type echoDetector struct {
	rules []manifest.Rule // the rules that publish on the side
	back  []manifest.Rule // the rules that receive messages from the side
	seed  maphash.Seed

	mu           sync.Mutex
	sessionStart time.Time
	published    map[uint64]*published // by key, the latest of each; nil: before the first session
	order        []*published          // oldest first, at most maxRemembered
	periodStart  time.Time             // the start of the counting period
	echoes       int                   // the messages that came back in this period
	missed       int                   // the messages that did not come back within echoTimeout, in this period
}

// published is a message that the bridge publishes on the side.
type published struct {
	key    uint64 // of topic and payload
	at     time.Time
	echoed bool // whether it came back
}

const (
	// minEchoes is the number of messages that must come back before the session is ended,
	// and echoesPerMiss the number for each message that did not come back.
	minEchoes     = 32
	echoesPerMiss = 10
	// echoTimeout is the time within which a message comes back.
	echoTimeout = 10 * time.Second
	// countingPeriod is the time after which the counters start again from 0.
	countingPeriod = 30 * time.Second
	// retainedPeriod is the time after the start of a session in which retained messages are
	// not counted: both sides may hold the same retained messages.
	retainedPeriod = 30 * time.Second
	// maxRemembered is the largest number of published messages that are remembered.
	maxRemembered = 4096
)

// newEchoDetector returns the detector of a side: rules publish messages on it, and back
// receives messages from it.
func newEchoDetector(rules, back []manifest.Rule) *echoDetector {
	return &echoDetector{rules: rules, back: back, seed: maphash.MakeSeed()}
}

// begin clears the detector when a session with a server of the side begins.
func (e *echoDetector) begin(now time.Time) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sessionStart, e.periodStart, e.echoes, e.missed = now, now, 0, 0
	e.published, e.order = map[uint64]*published{}, nil
}

// publish remembers the messages that the rules publish for a message of the other side, if
// a subscription on this side matches their topics, so that the server could send them back.
func (e *echoDetector) publish(in *session.Inbound) {
	if e == nil {
		return
	}
	for i := range e.rules {
		r := &e.rules[i]
		if !r.Filter.Match(in.Topic) || r.Excludes(in.Topic) {
			continue
		}
		topic, ok := r.Mapping.Map(in.Topic)
		if ok && slices.ContainsFunc(e.back, func(b manifest.Rule) bool { return b.Filter.Match(topic) }) {
			e.remember(e.key(topic, in.Payload), in.ReceivedAt)
		}
	}
}

func (e *echoDetector) remember(key uint64, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.expireLocked(now)
	if e.published == nil {
		return // no session has begun yet
	}
	p := &published{key: key, at: now}
	if len(e.order) == maxRemembered {
		e.forgetOldestLocked()
	}
	e.published[key], e.order = p, append(e.order, p)
}

// received counts a message that the server sent. It returns true if the session must be
// ended, because the server sends messages back.
func (e *echoDetector) received(in *session.Inbound) bool {
	if e == nil {
		return false
	}
	key := e.key(in.Topic, in.Payload)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.expireLocked(in.ReceivedAt)
	p := e.published[key]
	if p == nil || p.echoed || in.Retain && in.ReceivedAt.Sub(e.sessionStart) < retainedPeriod {
		return false
	}
	p.echoed = true
	e.echoes++
	return e.echoes >= minEchoes && e.echoes >= echoesPerMiss*(e.missed+e.skippedBeforeLocked(p))
}

// skippedBeforeLocked returns the number of messages that were published before the given
// echo and have not come back. A server sends messages of the same QoS in order.
func (e *echoDetector) skippedBeforeLocked(latest *published) (n int) {
	for _, p := range e.order {
		if p == latest {
			break
		}
		if !p.echoed {
			n++
		}
	}
	return n
}

// expireLocked starts a new counting period if the last one is over, and counts the
// messages that have not come back within echoTimeout as missed.
func (e *echoDetector) expireLocked(now time.Time) {
	if now.Sub(e.periodStart) > countingPeriod {
		e.periodStart, e.echoes, e.missed = now, 0, 0
	}
	for len(e.order) > 0 && now.Sub(e.order[0].at) > echoTimeout {
		if !e.order[0].echoed {
			e.missed++
		}
		e.forgetOldestLocked()
	}
}

func (e *echoDetector) forgetOldestLocked() {
	p := e.order[0]
	e.order = e.order[1:]
	if e.published[p.key] == p {
		delete(e.published, p.key)
	}
}

func (e *echoDetector) key(topic, payload string) uint64 {
	var h maphash.Hash
	h.SetSeed(e.seed)
	_, _ = h.WriteString(topic) // never fails
	_ = h.WriteByte(0)
	_, _ = h.WriteString(payload)
	return h.Sum64()
}
