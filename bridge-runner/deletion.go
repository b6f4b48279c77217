// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// deletion carries out spec.deletionPolicy when the manifest says that the bridge is being
// deleted. It has three steps: with Drain, deliver the messages (drain.go); end the bridge as
// at the end of the process; and then end the sessions (endsessions.go), when no connection uses
// them any more.
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
	session   v1alpha1.RemainingSession
}

// latch is a channel that is closed once.
type latch struct {
	// ctx ends when the latch is set: so the work that waits for it needs no goroutine before, see
	// context.AfterFunc.
	ctx context.Context
	set context.CancelFunc
	c   <-chan struct{}
}

func (l *latch) isSet() bool { return isClosed(l.c) }

// isClosed reports whether a channel on which nothing is sent is closed.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func newLatch() *latch {
	ctx, set := context.WithCancel(context.Background())
	return &latch{ctx, set, ctx.Done()}
}

// newDeletion returns the deletion of a bridge that runs the manifest m.
func newDeletion(b *bridge, m *v1alpha1.MQTTBridge, state *report.State, log *slog.Logger) *deletion {
	d := &deletion{bridge: b, state: state, log: report.Async(log), requested: newLatch(), draining: newLatch(), ending: newLatch(), remaining: map[int]*v1alpha1.RemainingSession{}, unread: map[int]bool{}}
	d.retarget(m)
	b.local.Unsubscribing, b.remote.Unsubscribing = d.draining.c, d.draining.c
	return d
}

// retarget derives the sessions to end and the sources from a manifest that the bridge runs. It has
// no effect on a deletion that has been requested: its progress refers to them.
func (d *deletion) retarget(m *v1alpha1.MQTTBridge) {
	if d.requested.isSet() {
		return
	}
	b := d.bridge
	d.targets, d.sources = nil, nil
	sides := map[string]*connector.Connector{manifest.SideLocal: b.local, manifest.SideRemote: b.remote}
	for _, session := range manifest.RemainingSessions(&m.Spec) {
		d.targets = append(d.targets, target{sides[session.Side], session})
	}
	if len(m.Spec.LocalToRemote) > 0 {
		d.sources = append(d.sources, d.newSource(b.local, b.localSessions, func(s *v1alpha1.MQTTBridgeStatus) *v1alpha1.SideStatus { return s.Local }))
	}
	if len(m.Spec.RemoteToLocal) > 0 {
		d.sources = append(d.sources, d.newSource(b.remote, b.remoteSessions, func(s *v1alpha1.MQTTBridgeStatus) *v1alpha1.SideStatus { return s.Remote }))
	}
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
		drained := make(chan struct{})
		ignore := context.AfterFunc(d.requested.ctx, func() { //nolint:contextcheck // running bounds the work
			defer close(drained)
			defer stop()
			d.drain(running)
		})
		d.bridge.run(running)
		if !ignore() {
			<-drained
		}
	}
	if ctx.Err() != nil && !d.ending.isSet() {
		return false // the next process continues the drain
	}
	return d.endSessions(ctx)
}

// completed reports that the deletion is complete, because another runner has done the work.
func (d *deletion) completed() {
	d.state.Disconnected()
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.remaining)
	d.status.State = v1alpha1.DeletionComplete
	d.reportLocked()
	d.log.Info("another runner has ended the sessions of the bridge; the bridge can be deleted")
}

// errIncomplete is the error of a runner without Kubernetes whose deletion has timed out.
var errIncomplete = errors.New("the deletion has not been completed within spec.deletionTimeoutSeconds")

// incomplete returns the error that names what remains.
func (d *deletion) incomplete() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Errorf("%w; these remain: %s; start the runner again to continue, or end the sessions by hand", errIncomplete, d.status.Remains())
}

// withTimeout returns a context that ends deletionTimeoutSeconds after the deletion was requested, or
// after this call, if that is later: a standby does no work. A runner in a cluster does not use it: the
// operator ends the deletion.
func (d *deletion) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	ignore := context.AfterFunc(d.requested.ctx, func() {
		select {
		case <-time.After(d.timeout):
			cancel(errIncomplete)
		case <-ctx.Done():
		}
	})
	return ctx, func() { ignore(); cancel(nil) }
}
