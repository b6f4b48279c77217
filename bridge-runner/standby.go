// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"sync/atomic"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/member"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// runActive runs the bridge until work ends. In a group it forwards only while this process is active,
// and before that it is a standby: it keeps the connectors warm. It returns when work or the
// activation ends.
func (i *instance) runActive(work context.Context, d *deletion) (complete bool) {
	if i.seat == nil {
		return d.run(work)
	}
	a := i.standBy(work, d.bridge)
	if a == nil {
		return false
	}
	defer i.seat.group.leave(a)
	forwarding, stop := context.WithCancelCause(work)
	defer stop(nil)
	defer context.AfterFunc(a.ctx, func() { stop(context.Cause(a.ctx)) })() //nolint:contextcheck // both contexts end forwarding
	if i.seat.beginActivation(a) {
		d.bridge.know.begin(a)
	}
	i.state.SetStandby(false)
	d.bridge.recall(i.seat.group.member.Knowledge(i.seat.name), a.cause == member.HandedOver)
	complete = d.run(forwarding)
	d.bridge.know.drained(manifest.SideLocal, d.bridge.local.CleanServers())
	d.bridge.know.drained(manifest.SideRemote, d.bridge.remote.CleanServers())
	return complete
}

// standBy keeps the bridge warm until this process is active. It returns nil if work ends before.
func (i *instance) standBy(work context.Context, b *bridge) *activation {
	a, changed := i.seat.group.join()
	if a != nil {
		return a
	}
	i.state.SetStandby(true)
	warming, stop := context.WithCancel(work)
	defer stop()
	b.warm(warming, i.seat.warmed)
	for {
		select {
		case <-changed:
		case <-work.Done():
			return nil
		}
		if a, changed = i.seat.group.join(); a != nil {
			return a
		}
	}
}

// warm keeps both connectors warm until the context ends. It does not wait. warmed is called when all
// servers have been probed once.
func (b *bridge) warm(ctx context.Context, warmed func()) {
	var left atomic.Int32
	left.Store(sides)
	probed := func() {
		if left.Add(-1) == 0 && ctx.Err() == nil {
			warmed()
		}
	}
	go b.local.Warm(ctx, probed)
	go b.remote.Warm(ctx, probed)
}
