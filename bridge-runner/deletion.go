// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// deletion carries out spec.deletionPolicy when the manifest says that the bridge is being
// deleted. It has three steps: with Drain, deliver the messages (drain.go); end the bridge as
// at the end of the process; and then end the sessions, when no connection uses them any more.
//
// All progress is on the servers and on disk, and each step may be repeated. So if the process
// ends, the next process begins with the first step, and continues the work.
type deletion struct {
	bridge *bridge
	state  *report.State
	log    *slog.Logger
	// sources are the sides that messages come from.
	sources []*source

	// timeout is deletionTimeoutSeconds. It is valid when requested is closed.
	timeout time.Duration
	// unread has the indexes in targets of the servers that a drain could not reach. Their
	// sessions are left as they are, because the messages in them would be lost. Only drain
	// writes it, before endSessions reads it.
	unread map[int]bool

	// requested is closed when the bridge is being deleted, draining is closed when it drains
	// before, and ending is closed when the sessions may be ended without a drain.
	requested, draining, ending *latch

	// mu comes before the locks of package report.
	mu sync.Mutex
	// status is the reported progress. remaining are the sessions that are left, by the index of
	// the target. mu guards both.
	status    v1alpha1.DeletionStatus
	targets   []target
	remaining map[int]*v1alpha1.RemainingSession
}

// target is a server on which a session is to be ended.
type target struct {
	connector *connector.Connector
	server    int // the index of the server
	session   v1alpha1.RemainingSession
}

// latch is a channel that is closed once.
type latch struct {
	once sync.Once
	c    chan struct{}
}

func (l *latch) set() { l.once.Do(func() { close(l.c) }) }

func (l *latch) isSet() bool {
	select {
	case <-l.c:
		return true
	default:
		return false
	}
}

func newLatch() *latch { return &latch{c: make(chan struct{})} }

// newDeletion returns the deletion of a bridge that runs the manifest m.
func newDeletion(b *bridge, m *v1alpha1.MQTTBridge, state *report.State, log *slog.Logger) *deletion {
	d := &deletion{bridge: b, state: state, log: report.Async(log), requested: newLatch(), draining: newLatch(), ending: newLatch(), remaining: map[int]*v1alpha1.RemainingSession{}, unread: map[int]bool{}}
	sides := map[string]*connector.Connector{manifest.SideLocal: b.local, manifest.SideRemote: b.remote}
	for _, session := range manifest.RemainingSessions(&m.Spec) {
		c := sides[session.Side]
		for i := range c.Servers {
			if c.Servers[i].Name == session.Server {
				d.targets = append(d.targets, target{c, i, session})
			}
		}
	}
	if len(m.Spec.LocalToRemote) > 0 {
		d.sources = append(d.sources, d.newSource(b.local, b.localSessions, func(s *v1alpha1.MQTTBridgeStatus) *v1alpha1.SideStatus { return s.Local }))
	}
	if len(m.Spec.RemoteToLocal) > 0 {
		d.sources = append(d.sources, d.newSource(b.remote, b.remoteSessions, func(s *v1alpha1.MQTTBridgeStatus) *v1alpha1.SideStatus { return s.Remote }))
	}
	b.local.Unsubscribing, b.remote.Unsubscribing = d.draining.c, d.draining.c
	return d
}

// update starts the deletion if the manifest says that the bridge is being deleted. It may be
// called again: a change from Drain to another policy ends a drain that is under way.
func (d *deletion) update(m *v1alpha1.MQTTBridge) {
	if m.DeletionTimestamp.IsZero() {
		return
	}
	policy := *m.Spec.DeletionPolicy
	if !d.requested.isSet() {
		d.timeout = time.Duration(*m.Spec.DeletionTimeoutSeconds) * time.Second
	}
	if policy == v1alpha1.DeletionDrain && !d.ending.isSet() {
		d.draining.set()
	} else {
		d.ending.set()
	}
	if !d.requested.isSet() {
		d.log.Info("the bridge is being deleted", "deletionPolicy", policy)
		d.begin(policy)
	}
	d.requested.set()
}

// begin reports the first step. With Keep there is nothing to do.
func (d *deletion) begin(policy v1alpha1.DeletionPolicy) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.State = v1alpha1.DeletionEndingSessions
	if policy == v1alpha1.DeletionDrain {
		d.status.State = v1alpha1.DeletionDraining
	}
	if policy == v1alpha1.DeletionKeep {
		d.targets = nil
	}
	for i := range d.targets {
		session := d.targets[i].session
		d.remaining[i] = &session
	}
	d.reportLocked()
}

// reportLocked reports the progress.
func (d *deletion) reportLocked() {
	d.status.Sessions = nil
	for i := range d.targets {
		if r := d.remaining[i]; r != nil {
			d.status.Sessions = append(d.status.Sessions, *r)
		}
	}
	d.state.SetDeletion(&d.status)
}

// run runs the bridge until ctx ends or the bridge is deleted. It returns true if the deletion
// is complete.
func (d *deletion) run(ctx context.Context) (complete bool) {
	running, stop := context.WithCancel(ctx)
	defer stop()
	if d.requested.isSet() && d.ending.isSet() {
		d.bridge.skip() // without a drain, there is nothing to connect for
	} else {
		var draining sync.WaitGroup
		draining.Go(func() {
			defer stop()
			select {
			case <-d.requested.c:
				d.drain(running)
			case <-running.Done():
			}
		})
		d.bridge.run(running)
		draining.Wait()
	}
	return ctx.Err() == nil && d.endSessions(ctx)
}

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
// the deletion.
func afterStop(stopped context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(stopped))
	release := context.AfterFunc(stopped, func() {
		if errors.Is(context.Cause(stopped), errIncomplete) {
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
	pause, most := t.connector.Failover.RetryInitial, t.connector.Failover.RetryMax
	for ctx.Err() == nil {
		why := t.connector.EndSession(ctx, t.server, t.session.Notification)
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

// errIncomplete is the error of a runner without Kubernetes whose deletion has timed out.
var errIncomplete = errors.New("the deletion has not been completed within spec.deletionTimeoutSeconds")

// incomplete returns the error that names what remains.
func (d *deletion) incomplete() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Errorf("%w; these remain: %s; start the runner again to continue, or end the sessions by hand", errIncomplete, d.status.Remains())
}

// withTimeout returns a context that ends deletionTimeoutSeconds after the deletion was
// requested. A runner in a cluster does not use it: the operator ends the deletion.
func (d *deletion) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-d.requested.c:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(d.timeout):
			cancel(errIncomplete)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}
