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
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/internal/count"
)

const (
	// unforwardableInterval is the shortest time between two changes of one direction's
	// part of status.unforwardable.
	unforwardableInterval = time.Minute
	// unforwardableRetention is the time for which the latest message remains in the status.
	unforwardableRetention = 10 * time.Minute
	// unforwardableLogInterval is the shortest time between two log lines about such
	// messages. The counter includes all messages.
	unforwardableLogInterval = 10 * time.Second
	// maxTopic is the largest length of a topic in the status and in the log, in bytes.
	maxTopic = 256
	// maxUnforwardable is the largest length of a message in the status, and maxAnswer of
	// the server's text in it, in bytes.
	maxUnforwardable = 1024
	maxAnswer        = 512
	// maxDeadLetter is the largest length of the dead letter topic in such a message, in bytes.
	maxDeadLetter = 128
)

// unforwardableReporter reports the unforwardable messages of one direction. Its callers hold
// the lock of a pipe, so a goroutine writes the log and the status. The goroutine ends when
// there is nothing left to report. Only the latest message is kept.
type unforwardableReporter struct {
	log   *slog.Logger
	write func(*v1alpha1.UnforwardableMessage) // sets the message in the status; nil removes it

	mu        sync.Mutex // guards the fields below up to unblocked; held briefly
	running   bool       // whether run runs
	wake      chan struct{}
	latest    *delivery.UnforwardableMessage // the latest message; nil: run has handled all messages
	at        time.Time                      // when latest was reported
	skipped   int                            // the number of messages before latest that run has not handled
	unblocked bool                           // whether the blocking message has left

	state runState // only the goroutine of run uses it
}

func newUnforwardableReporter(log *slog.Logger, write func(*v1alpha1.UnforwardableMessage)) *unforwardableReporter {
	return &unforwardableReporter{log: log, write: write, wake: make(chan struct{}, 1)}
}

// watchUnforwardable returns the reporter of a direction. If st is nil, the reporter only logs.
func (st *State) watchUnforwardable(direction string, log *slog.Logger) *unforwardableReporter {
	if st == nil {
		return newUnforwardableReporter(log, func(*v1alpha1.UnforwardableMessage) {})
	}
	part := &st.unforwardable.RemoteToLocal
	if direction == LocalToRemote {
		part = &st.unforwardable.LocalToRemote
	}
	return newUnforwardableReporter(log, func(m *v1alpha1.UnforwardableMessage) {
		st.mu.Lock()
		defer st.mu.Unlock()
		*part = m
		st.signalChange()
	})
}

// unforwardableStatusLocked returns nil if there is nothing to report.
func (st *State) unforwardableStatusLocked() *v1alpha1.UnforwardableStatus {
	if st.unforwardable == (v1alpha1.UnforwardableStatus{}) {
		return nil
	}
	return st.unforwardable.DeepCopy()
}

// report reports an unforwardable message.
func (u *unforwardableReporter) report(m delivery.UnforwardableMessage) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.latest != nil {
		u.skipped++
	}
	u.latest, u.at, u.unblocked = &m, time.Now(), false
	u.wakeLocked()
}

// reportUnblocked reports that the message that blocked the direction has left.
func (u *unforwardableReporter) reportUnblocked() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.unblocked = true
	u.wakeLocked()
}

// wakeLocked starts run, or wakes it.
func (u *unforwardableReporter) wakeLocked() {
	if !u.running {
		u.running = true
		go u.run()
	}
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// runState is the state of run.
type runState struct {
	message   *v1alpha1.UnforwardableMessage // in the status at present; nil: none
	due       *v1alpha1.UnforwardableMessage // to be written to the status; nil: none
	changed   bool                           // whether due may differ from message
	writtenAt time.Time                      // when the status was last written; zero: never
	latestAt  time.Time                      // when the latest message was reported
	loggedAt  time.Time                      // when the latest log line was written; zero: never
	notLogged int                            // the number of messages since then that were not logged
}

// run handles the reported messages until the status has no message and there is nothing left
// to report.
func (u *unforwardableReporter) run() {
	s := &u.state
	for {
		u.handleReported(s)
		wait := u.updateStatus(s)
		if s.message == nil && !s.changed && u.stopIfIdle() {
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

// stopIfIdle returns true if no message waits to be handled. The caller must then end the
// goroutine of run.
func (u *unforwardableReporter) stopIfIdle() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.latest != nil {
		return false
	}
	u.running = false
	return true
}

// handleReported logs the latest reported message and prepares the status.
func (u *unforwardableReporter) handleReported(s *runState) {
	u.mu.Lock()
	m, at, skipped, unblocked := u.latest, u.at, u.skipped, u.unblocked
	u.latest, u.skipped, u.unblocked = nil, 0, false
	u.mu.Unlock()
	if m != nil {
		s.latestAt, s.due, s.changed = at, statusOf(m, at), true
		s.notLogged += skipped
		u.logMessage(s, m)
	}
	if unblocked && s.due != nil && ptr.Deref(s.due.Blocking, false) {
		s.due, s.changed = nil, s.message != nil
	}
}

// updateStatus writes the status if it is due. It returns the time until it must be called
// again.
func (u *unforwardableReporter) updateStatus(s *runState) time.Duration {
	now := time.Now()
	if s.due != nil && now.Sub(s.latestAt) >= unforwardableRetention {
		s.due, s.changed = nil, s.message != nil
	}
	if s.changed {
		if wait := unforwardableInterval - now.Sub(s.writtenAt); !s.writtenAt.IsZero() && wait > 0 {
			return wait
		}
		if !sameReport(s.message, s.due) {
			u.write(s.due)
			s.writtenAt = now
			s.message = s.due
		}
		s.changed = false
	}
	return max(unforwardableRetention-now.Sub(s.latestAt), time.Second)
}

// sameReport reports whether b needs no new report after a: both are nil, or both report the
// same blocking message, which was tried again with the same result.
func sameReport(a, b *v1alpha1.UnforwardableMessage) bool {
	if a == nil || b == nil {
		return a == b
	}
	return ptr.Deref(a.Blocking, false) && ptr.Deref(b.Blocking, false) && a.Topic == b.Topic && a.Reason == b.Reason && a.Message == b.Message
}

// logMessage logs a message, at most once per unforwardableLogInterval.
func (u *unforwardableReporter) logMessage(s *runState, m *delivery.UnforwardableMessage) {
	if now := time.Now(); s.loggedAt.IsZero() || now.Sub(s.loggedAt) >= unforwardableLogInterval {
		u.log.Warn("no server of the destination accepts a message", "topic", s.due.Topic, "bytes", m.Bytes, "cause", m.Cause, "fate", m.Fate, "message", s.due.Message, "notLogged", s.notLogged)
		s.loggedAt, s.notLogged = now, 0
		return
	}
	s.notLogged++
}

// statusOf returns the entry of the status for a message.
func statusOf(m *delivery.UnforwardableMessage, at time.Time) *v1alpha1.UnforwardableMessage {
	reason, answer := v1alpha1.ReasonRefused, truncate(strings.ToValidUTF8(diagnosis.Of(m.Err).Message, "?"), maxAnswer)
	switch m.Cause {
	case delivery.DropTooLarge:
		reason = v1alpha1.ReasonTooLarge
	case delivery.DropUnforwardable:
		reason = v1alpha1.ReasonEndsSession
		answer = fmt.Sprintf("every server that the bridge can connect to ends the session when it receives this message (QoS %d, a topic of %s): %s", m.QoS, count.Of(1+strings.Count(m.Topic, "/"), "level"), answer)
	}
	quoted := strconv.Quote(m.Topic)
	return &v1alpha1.UnforwardableMessage{
		Topic:    truncate(quoted[1:len(quoted)-1], maxTopic),
		Bytes:    ptr.To(int64(m.Bytes)),
		Reason:   reason,
		Message:  truncate(answer+"; "+consequence(m), maxUnforwardable),
		Time:     metav1.NewMicroTime(at),
		Blocking: ptr.To(m.Fate == delivery.FateBlocks),
	}
}

// consequence describes what happens to the message, and the remedy.
func consequence(m *delivery.UnforwardableMessage) string {
	const remedy = "correct its publisher or the rule's topic, or change the server's limits (levels, size, QoS) or rights"
	switch m.Fate {
	case delivery.FateBlocks:
		return "the message is kept, and all messages behind it wait (delivery.unforwardable.policy: Block); " + remedy + ", or set the policy to Drop"
	case delivery.FateDeadLetter:
		return fmt.Sprintf("the message is acknowledged to its source, and published there under %s; %s", truncate(strconv.Quote(m.DeadLetter), maxDeadLetter), remedy)
	case delivery.FateDropped:
	}
	return "the message is dropped, and acknowledged to its source; " + remedy
}
