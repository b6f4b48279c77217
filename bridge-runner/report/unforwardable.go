// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
)

const (
	// unforwardableInterval is the shortest time between two changes of one direction's
	// part of status.unforwardable.
	unforwardableInterval = time.Minute
	// unforwardableFor is how long after the last message it is there.
	unforwardableFor = 10 * time.Minute
	// unforwardableLogged is how often such messages are logged. The counter has them all.
	unforwardableLogged = 10 * time.Second
	// maxTopic is the longest topic in the status and in the log, in bytes.
	maxTopic = 256
	// maxUnforwardable is the longest message in the status, in bytes, and maxAnswer that
	// of the part of it that is the server's.
	maxUnforwardable = 1024
	maxAnswer        = 512
)

// unforwardable reports the messages of one direction that no server takes. It is used
// with the lock of a pipe held: a goroutine that ends when there is nothing to do writes
// the log and the status. Only the latest message is kept.
type unforwardable struct {
	log    *slog.Logger
	letter string // topic of dead letters
	write  func(*v1alpha1.UnforwardableMessage)

	mu      sync.Mutex // held for moments; nothing is locked meanwhile
	running bool
	wake    chan struct{}
	latest  *delivery.GivenUp // not handled
	at      time.Time         // when it came
	more    int               // came before it and were not handled
	over    bool              // the message that has blocked is gone

	s shown // of run
}

func newUnforwardable(log *slog.Logger, letter string, write func(*v1alpha1.UnforwardableMessage)) *unforwardable {
	return &unforwardable{log: log, letter: letter, write: write, wake: make(chan struct{}, 1)}
}

// watchUnforwardable returns the reporter of a direction. Without a state it only logs.
func (st *State) watchUnforwardable(direction string, log *slog.Logger) *unforwardable {
	if st == nil {
		return newUnforwardable(log, "", func(*v1alpha1.UnforwardableMessage) {})
	}
	part := &st.unforwardable.RemoteToLocal
	if direction == LocalToRemote {
		part = &st.unforwardable.LocalToRemote
	}
	return newUnforwardable(log, st.deadLetter, func(m *v1alpha1.UnforwardableMessage) {
		st.mu.Lock()
		defer st.mu.Unlock()
		*part = m
		st.notify()
	})
}

// unforwardableStatus is nil if there is nothing to report. The lock is held.
func (st *State) unforwardableStatus() *v1alpha1.UnforwardableStatus {
	if st.unforwardable == (v1alpha1.UnforwardableStatus{}) {
		return nil
	}
	return st.unforwardable.DeepCopy()
}

// givenUp takes a message in.
func (u *unforwardable) givenUp(m delivery.GivenUp) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.latest != nil {
		u.more++
	}
	u.latest, u.at, u.over = &m, time.Now(), false
	u.start()
}

// unblocked notes that the message that has blocked the direction is gone.
func (u *unforwardable) unblocked() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.over = true
	u.start()
}

func (u *unforwardable) start() {
	if !u.running {
		u.running = true
		go u.run()
	}
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// shown is what run knows.
type shown struct {
	message, due *v1alpha1.UnforwardableMessage // in the status, and to be there; nil: none
	changed      bool                           // due differs from message
	writtenAt    time.Time
	last         time.Time // when the latest message came
	loggedAt     time.Time
	notLogged    int
}

// run handles what comes, until the status has no message and nothing comes.
func (u *unforwardable) run() {
	s := &u.s
	for {
		u.take(s)
		wait := u.settle(s)
		if s.message == nil && !s.changed && u.finished() {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-u.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// finished reports whether nothing has come, and ends the run then.
func (u *unforwardable) finished() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.latest != nil {
		return false
	}
	u.running = false
	return true
}

// take takes what has come.
func (u *unforwardable) take(s *shown) {
	u.mu.Lock()
	m, at, more, over := u.latest, u.at, u.more, u.over
	u.latest, u.more, u.over = nil, 0, false
	u.mu.Unlock()
	if m != nil {
		s.last, s.due, s.changed = at, u.status(m, at), true
		s.notLogged += more
		u.logOne(s, m)
	}
	if over && s.due != nil && ptr.Deref(s.due.Blocking, false) {
		s.due, s.changed = nil, s.message != nil
	}
}

// settle writes the status if it is due, and returns how long nothing else is.
func (u *unforwardable) settle(s *shown) time.Duration {
	now := time.Now()
	if s.due != nil && now.Sub(s.last) >= unforwardableFor {
		s.due, s.changed = nil, s.message != nil
	}
	if s.changed {
		if wait := unforwardableInterval - now.Sub(s.writtenAt); !s.writtenAt.IsZero() && wait > 0 {
			return wait
		}
		if !same(s.message, s.due) {
			u.write(s.due)
			s.writtenAt = now
			s.message = s.due
		}
		s.changed = false
	}
	return max(unforwardableFor-now.Sub(s.last), time.Second)
}

// same reports whether a message that blocks was only tried once more.
func same(a, b *v1alpha1.UnforwardableMessage) bool {
	if a == nil || b == nil {
		return a == b
	}
	return ptr.Deref(a.Blocking, false) && ptr.Deref(b.Blocking, false) && a.Topic == b.Topic && a.Reason == b.Reason && a.Message == b.Message
}

func (u *unforwardable) logOne(s *shown, m *delivery.GivenUp) {
	if now := time.Now(); s.loggedAt.IsZero() || now.Sub(s.loggedAt) >= unforwardableLogged {
		u.log.Warn("no server takes a message", "topic", s.due.Topic, "bytes", m.Bytes, "cause", m.Cause, "fate", m.Fate, "message", s.due.Message, "notLogged", s.notLogged)
		s.loggedAt, s.notLogged = now, 0
		return
	}
	s.notLogged++
}

// status is what the status has of a message.
func (u *unforwardable) status(m *delivery.GivenUp, at time.Time) *v1alpha1.UnforwardableMessage {
	reason, answer := v1alpha1.ReasonRefused, truncate(strings.ToValidUTF8(m.Why.Message, "?"), maxAnswer)
	switch m.Cause {
	case delivery.DropTooLarge:
		reason = v1alpha1.ReasonTooLarge
	case delivery.DropUnforwardable:
		reason = v1alpha1.ReasonEndsSession
		answer = fmt.Sprintf("every server that can be connected ends the session at this message (QoS %d, a topic of %d levels): %s", m.QoS, 1+strings.Count(m.Topic, "/"), answer)
	}
	quoted := strconv.Quote(m.Topic)
	return &v1alpha1.UnforwardableMessage{
		Topic:    truncate(quoted[1:len(quoted)-1], maxTopic),
		Bytes:    ptr.To(int64(m.Bytes)),
		Reason:   reason,
		Message:  truncate(answer+"; "+u.consequence(m), maxUnforwardable),
		Time:     metav1.NewMicroTime(at),
		Blocking: ptr.To(m.Fate == delivery.FateKept),
	}
}

// consequence says what happens to the message, and what to do.
func (u *unforwardable) consequence(m *delivery.GivenUp) string {
	const correct = "correct its publisher or the rule's topic, or change the server's limits (levels, size, QoS) or rights"
	switch m.Fate {
	case delivery.FateKept:
		return "it is kept, and all messages behind it wait (delivery.unforwardable.policy: Block); " + correct + ", or set the policy to Drop"
	case delivery.FateDeadLetter:
		return fmt.Sprintf("it is acknowledged to its source, and published there under %q; %s", u.letter, correct)
	case delivery.FateDropped:
	}
	return "it is dropped, and acknowledged to its source; " + correct
}
