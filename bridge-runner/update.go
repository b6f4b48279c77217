// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
)

// update applies the settings of another version, which needs no restart, to the running bridge. It
// touches only the connections that the change concerns:
//
//   - A changed rule, limit, policy or timeout of failover, and a changed list of servers, close no
//     connection to a server that remains in the list.
//   - Another setting of the sessions of a side, or of the connection to its server in use, makes
//     the connector of this side reconnect to the same server.
//
// New rules apply to the pipes first, so that no message arrives for a subscription without a rule.
func (b *bridge) update(next *version) {
	s := next.settings
	b.log.Info("the changed manifest is applied", "generation", next.manifest.Generation)
	b.echoes.setRules(s.LocalToRemote, s.RemoteToLocal, s.Loop, time.Now())
	b.traces.Apply(tracingSettings(s))
	b.localToRemote.Update(s.LocalToRemote, b.meter(report.LocalToRemote, s.LocalToRemote, s), b.pipeOptions(report.LocalToRemote, s))
	b.remoteToLocal.Update(s.RemoteToLocal, b.meter(report.RemoteToLocal, s.RemoteToLocal, s), b.pipeOptions(report.RemoteToLocal, s))
	b.notifier.change(s.Notifications)
	b.flusher.Flush()
	b.connect(next)
}

// needsRestart reports whether a bridge must be restarted to change its settings: the buffer on disk
// cannot change while it is open, and a side cannot use the client identifier of the other side, which may
// have the same server, before that side has another one.
func needsRestart(running, next *config.Settings) bool {
	return takesClientID(&next.Local, &running.Local, &running.Remote) || takesClientID(&next.Remote, &running.Remote, &running.Local) ||
		running.Disk != next.Disk ||
		diskBytes(running, running.LocalToRemote) != diskBytes(next, next.LocalToRemote) ||
		diskBytes(running, running.RemoteToLocal) != diskBytes(next, next.RemoteToLocal)
}

// takesClientID reports whether a side gets the client identifier that the other side has.
func takesClientID(next, running, other *config.Side) bool {
	return next.ClientID != running.ClientID && next.ClientID == other.ClientID
}

// progress reports a generation when the settings of its manifest are in effect on both sides.
type progress struct {
	// report is called with mu held.
	report func(generation int64)

	mu sync.Mutex
	// generation is the latest generation with the latest settings.
	generation int64
	// version is the number of calls of begin. waiting is the number of sides on which the settings of
	// the latest call are not in effect yet.
	version, waiting int
}

// begin is called for the settings of a generation. Each side calls the returned function once
// when they are in effect. A call for earlier settings has no effect.
func (p *progress) begin(generation int64) (inEffect func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.version++
	p.generation, p.waiting = generation, sides
	version := p.version
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.version == version {
			p.waiting--
			p.reportLocked()
		}
	}
}

// advance is called for a generation with the same settings.
func (p *progress) advance(generation int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.generation = generation
	p.reportLocked()
}

func (p *progress) reportLocked() {
	if p.waiting == 0 {
		p.report(p.generation)
	}
}
