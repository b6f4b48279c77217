// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
)

// stopTimeout is the longest time for which a process that stops still tries to end sessions,
// for example in a namespace that is being deleted. It is well below a pod's grace period.
const stopTimeout = 10 * time.Second

// endSessions ends the sessions on all targets at the same time. It tries each again until it
// has ended, until stopTimeout after the end of ctx, or until deletionTimeoutSeconds has passed.
// It returns true if all have ended.
func (d *deletion) endSessions(stopped context.Context) bool {
	ctx, cancel := afterStop(stopped)
	defer cancel()
	d.state.Disconnected()
	d.mu.Lock()
	d.status.State = v1alpha1.DeletionEndingSessions
	d.reportLocked()
	d.mu.Unlock()
	var ending sync.WaitGroup
	for i := range d.targets {
		if !d.unread[i] {
			ending.Go(func() { d.endSession(ctx, i) })
		}
	}
	ending.Wait()
	if len(d.unread) > 0 {
		<-stopped.Done() // only a user can decide about the messages in these sessions
		return false
	}
	if ctx.Err() != nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.State = v1alpha1.DeletionComplete
	d.reportLocked()
	d.log.Info("the sessions of the bridge have ended; the bridge can be deleted")
	return true
}

// afterStop returns a context that ends stopTimeout after stopped, or with it at the timeout of
// the deletion, for a restart, after which the bridge ends the sessions with other settings, and if
// another runner is active, which continues the deletion.
func afterStop(stopped context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(stopped))
	release := context.AfterFunc(stopped, func() {
		cause := context.Cause(stopped)
		if slices.ContainsFunc([]error{errIncomplete, errRestart, errHandOver, errDeactivated}, func(e error) bool { return errors.Is(cause, e) }) {
			cancel()
			return
		}
		time.AfterFunc(stopTimeout, cancel)
	})
	return ctx, func() {
		release()
		cancel()
	}
}

func (d *deletion) endSession(ctx context.Context, i int) {
	t := &d.targets[i]
	policy := t.connector.Settings().Failover
	pause, most := policy.RetryInitial, policy.RetryMax
	for ctx.Err() == nil {
		why := t.connector.EndSession(ctx, t.session.Server, t.session.Notification)
		if ctx.Err() != nil && why != nil {
			return
		}
		d.recordAttempt(i, why)
		if why == nil {
			return
		}
		if why.Permanent() { // frequent retries may lock an account
			pause = most
		}
		select {
		case <-time.After(pause/2 + rand.N(pause/2+1)): //nolint:gosec // spreads load, and protects nothing
		case <-ctx.Done():
		}
		pause = min(2*pause, most)
	}
}

// recordAttempt reports the result of an attempt to end a session. A failure that repeats is
// reported once.
func (d *deletion) recordAttempt(i int, why *diagnosis.Problem) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := &d.targets[i]
	log := d.log.With("side", t.session.Side, "server", t.session.Server)
	if why == nil {
		delete(d.remaining, i)
		log.Info("the session has ended", "clientID", t.session.ClientID, "notification", t.session.Notification)
		d.reportLocked()
		return
	}
	failure := v1alpha1.ServerError{Reason: why.Reason, Message: report.Message(why)}
	if last := d.remaining[i].LastError; last != nil && *last == failure {
		return
	}
	d.remaining[i].LastError = &failure
	log.Warn("the session cannot be ended yet; the runner tries again", "reason", why.Reason, "message", why.Message)
	d.reportLocked()
}
