// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// probeResult is the result of a probe. problem is nil if the server passed.
type probeResult struct {
	server  int
	problem *diagnosis.Problem
}

// startProbe probes a server in the background, unless a probe of it is pending or
// running. The result arrives on c.probeResults.
//
// Only one probe runs at a time, and the next begins after its connection is closed.
// Otherwise servers that share their sessions would report failures: they close the
// older of two connections with the same client identifier.
func (c *Connector) startProbe(ctx context.Context, server int) {
	if c.probing[server] {
		return
	}
	c.probing[server] = true
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
	cfg, err := c.config(server)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.ProbeTimeout)
	defer cancel()
	cfg.ClientID = c.ProbeClientID
	return session.Probe(ctx, cfg)
}

// recordProbe records and reports the result of a probe.
func (c *Connector) recordProbe(ctx context.Context, p probeResult) {
	c.Alive.Begin(0)
	c.probing[p.server] = false
	now := time.Now()
	c.machine.Probed(p.server, p.problem == nil, p.problem != nil && p.problem.Permanent(), now)
	c.request.recordProbe(p)
	if p.server == c.active { // the bridge has connected to it during the probe
		return
	}
	if p.problem == nil {
		if _, failing := c.failing[p.server]; failing {
			delete(c.failing, p.server)
			c.Log.Info("probe passed", "server", c.Servers[p.server].Name)
		}
		c.Observer.Probed(p.server, nil, now)
		return
	}
	c.logFailure(ctx, "probe failed", p.server, p.problem)
	c.Observer.Probed(p.server, p.problem, now)
}
