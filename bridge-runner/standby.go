// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"sync"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// runActive runs the bridge until work ends. In a group it forwards only while this process is active,
// and before that it is a standby: it keeps the connectors warm. It returns when work or the
// activation ends, and why.
func (i *instance) runActive(work context.Context, d *deletion) (complete bool, cause error) {
	if i.seat == nil {
		return i.runBounded(work, d)
	}
	a := i.standBy(work, d.bridge)
	if a == nil {
		return false, context.Cause(work)
	}
	defer i.seat.leave(a, d.bridge.gate)
	forwarding, stop := context.WithCancelCause(work)
	defer stop(nil)
	defer context.AfterFunc(a.ctx, func() { stop(context.Cause(a.ctx)) })() //nolint:contextcheck // both contexts end forwarding
	if i.deletedBefore(d) {
		return i.skipDeleted(forwarding, d)
	}
	i.state.SetStandby(false)
	var earlier *peer.Knowledge
	first := i.seat.beginActivation(a)
	d.bridge.know.join(a, first)
	if first { // otherwise a bridge of this process has used the sessions since
		earlier = i.seat.recalls(i.seat.group.member.Knowledge(i.seat.name))
	}
	d.bridge.recall(earlier, a)
	if complete, cause = i.runBounded(forwarding, d); complete {
		d.bridge.know.setDeleted()
	}
	d.bridge.know.drained(manifest.SideLocal, d.bridge.local.Held())
	d.bridge.know.drained(manifest.SideRemote, d.bridge.remote.Held())
	return complete, cause
}

// deletedBefore reports whether another member has completed the deletion of the bridge. Without
// Kubernetes, this counts only if the file of this process has the deletion, too: a user may have added the
// bridge again. In a cluster, this process learns of the deletion, at the latest when its watch continues.
func (i *instance) deletedBefore(d *deletion) bool {
	earlier := i.seat.group.member.Knowledge(i.seat.name)
	return earlier != nil && earlier.Deleted && (i.kubernetes || d.requested.isSet())
}

// skipDeleted completes the deletion of a bridge whose sessions another member has ended. It connects to no
// server: that would create the sessions again, and the process may end before it has ended them.
func (i *instance) skipDeleted(forwarding context.Context, d *deletion) (complete bool, cause error) {
	d.bridge.skip()
	select {
	case <-d.requested.c:
	case <-forwarding.Done():
		return false, context.Cause(forwarding)
	}
	d.completed()
	i.state.SetStandby(false) // now, so that no report says that the deletion is under way again
	d.bridge.know.setDeleted()
	return true, nil
}

// requestHandOverLocked hands over if this process is active and a user requests it by another value than
// before. The value in the manifest when the process became active has no effect. The standby may receive
// a value later than the active process: the active process passes it on before it hands over.
func (i *instance) requestHandOverLocked(value string) {
	if i.seat == nil {
		return
	}
	changed := value != i.handOver
	i.handOver = value
	if !i.bridge.know.setHandOver(value) || !changed || value == "" {
		return
	}
	if k := i.seat.group.member.Knowledge(i.seat.name); k != nil && k.HandOver == value {
		return
	}
	i.log.Info("a user requests a hand-over by the annotation "+manifest.AnnotationHandOver, "value", value)
	i.seat.group.member.HandOver()
}

// standBy keeps the bridge warm until this process is active. It returns nil if work ends before.
func (i *instance) standBy(work context.Context, b *bridge) *activation {
	a, changed := i.seat.join(b.gate)
	if a != nil {
		return a
	}
	i.state.SetStandby(true)
	warming, stop := context.WithCancel(work)
	defer stop()
	b.warm(warming, i.seat)
	for {
		select {
		case <-changed:
		case <-work.Done():
			return nil
		}
		if a, changed = i.seat.join(b.gate); a != nil {
			return a
		}
	}
}

// begin records that another version of the bridge begins, which has probed no server yet.
func (s *seat) begin() {
	if s == nil {
		return
	}
	s.group.mu.Lock()
	s.warm = false
	s.versions++
	s.group.mu.Unlock()
	s.group.reportWarm()
}

// version returns the number of the present version of the bridge.
func (s *seat) version() int {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	return s.versions
}

// warm keeps both connectors warm until the context ends. It does not wait. When all servers have been
// probed, and after each further round of probes of a side, it records whether the bridge can start at once.
func (b *bridge) warm(ctx context.Context, s *seat) {
	w := &warmth{seat: s, version: s.version(), sides: map[string]bool{}}
	probed := func(side string) func(map[string]bool) bool {
		return func(passed map[string]bool) bool { return w.probed(ctx, side, passed) }
	}
	go b.local.Warm(ctx, probed(manifest.SideLocal))
	go b.remote.Warm(ctx, probed(manifest.SideRemote))
}

// warmth says whether the bridge of a standby can start at once.
type warmth struct {
	seat *seat
	// version is the version of the bridge.
	version int

	// mu guards the fields below. It is held while the result is recorded, so that the latest one counts.
	mu sync.Mutex
	// sides says whether a side can start at once. A side that has not been probed is missing.
	sides map[string]bool
	// recorded is the result that the seat has. It is nil if there is none.
	recorded *bool
}

// probed receives the results of a round of probes of a side, and returns whether the side can start at once.
func (w *warmth) probed(ctx context.Context, side string, passed map[string]bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sides[side] = startsAtOnce(passed, w.seat.group.member.Knowledge(w.seat.name), side)
	warm := w.sides[manifest.SideLocal] && w.sides[manifest.SideRemote]
	if len(w.sides) == sides && ctx.Err() == nil && (w.recorded == nil || *w.recorded != warm) {
		w.recorded = &warm
		w.seat.setWarm(w.version, warm)
	}
	return w.sides[side]
}

// setWarm records whether a version of the bridge can start at once.
func (s *seat) setWarm(version int, warm bool) {
	s.group.mu.Lock()
	if s.versions == version {
		s.warm = warm
	}
	s.group.mu.Unlock()
	s.group.reportWarm()
}

// startsAtOnce reports whether a side of a standby can start at once: its latest probe of the server that
// the active runner uses has succeeded. If the active runner uses no server, or a server that is not in the
// list of the standby, nothing is known against the standby. passed are the results of the probes. It is nil
// if there are none.
func startsAtOnce(passed map[string]bool, active *peer.Knowledge, side string) bool {
	if active == nil {
		return true
	}
	ok, probed := passed[active.Sides[side].Active]
	return ok || !probed
}
