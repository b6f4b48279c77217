// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
)

// probeResult is the result of a probe. problem is nil if the server passed.
type probeResult struct {
	server  int
	problem *diagnosis.Problem
}

// startProbe probes a server in the background. The result arrives on c.probeResults.
//
// Only one probe runs at a time, and the next begins after its connection is closed.
// Otherwise servers that share their sessions would report failures: they close the
// older of two connections with the same client identifier.
func (c *Connector) startProbe(ctx context.Context, server int) {
	c.background.Go(func() {
		select {
		case c.probeSlot <- struct{}{}:
		case <-ctx.Done():
			return
		}
		result := probeResult{server: server}
		if err := c.probe(ctx, server); err != nil {
			result.problem = diagnosis.OfProbe(err)
		}
		<-c.probeSlot
		select {
		case c.probeResults <- result:
		case <-ctx.Done():
		}
	})
}

func (c *Connector) probe(ctx context.Context, server int) error {
	return c.probeAs(ctx, server, c.ProbeClientID)
}

// recordProbe records and reports the result of a probe.
func (c *Connector) recordProbe(ctx context.Context, p probeResult) {
	c.Alive.Begin(0)
	now, state := time.Now(), &c.states[p.server]
	state.probeFailure = ""
	if p.problem != nil {
		state.probeFailure = p.problem.Message
	}
	c.machine.Probed(p.server, p.problem == nil, p.problem != nil && p.problem.Permanent(), now)
	if p.server == c.active { // the bridge has connected to it during the probe
		return
	}
	if p.problem != nil {
		c.logFailure(ctx, "probe failed", p.server, p.problem)
	} else if state.failure != "" {
		state.failure = ""
		c.Log.Info("probe passed", "server", c.Servers[p.server].Name)
	}
	c.Observer.Probed(p.server, p.problem, now)
}
