// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"slices"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// probeResult is the result of a probe.
type probeResult struct {
	// server is the state of the server. It identifies the server also after the list has changed.
	server *serverState
	// problem is nil if the server passed.
	problem *diagnosis.Problem
}

// startProbe probes a server in the background. The result arrives on c.probeResults.
//
// Only one probe runs at a time, and the next begins after its connection is closed.
// Otherwise servers that share their sessions would report failures: they close the
// older of two connections with the same client identifier.
func (c *Connector) startProbe(ctx context.Context, server int) {
	result, target, settings := probeResult{server: c.states[server]}, c.servers[server], c.settings
	c.background.Go(func() {
		select {
		case c.probeSlot <- struct{}{}:
		case <-ctx.Done():
			return
		}
		if err := c.probe(ctx, &target, settings, settings.ProbeClientID); err != nil {
			result.problem = diagnosis.OfProbe(err)
		}
		<-c.probeSlot
		select {
		case c.probeResults <- result:
		case <-ctx.Done():
		}
	})
}

// probe probes a server with a client identifier, within ProbeTimeout, when the Pacer lets it begin.
func (c *Connector) probe(ctx context.Context, server *Server, s *Settings, clientID string) error {
	cfg, err := config(server)
	if err != nil {
		return err
	}
	opened, err := c.Pacer.begin(ctx, firstHop(&cfg))
	if err != nil {
		return err
	}
	defer opened()
	ctx, cancel := context.WithTimeout(ctx, s.ProbeTimeout)
	defer cancel()
	cfg.ClientID = clientID
	return session.Probe(ctx, cfg)
}

// recordProbe records and reports the result of a probe. It ignores the result for a server that
// was removed, or whose connection has other settings now.
func (c *Connector) recordProbe(ctx context.Context, p probeResult) {
	c.Alive.Begin(0)
	server := slices.Index(c.states, p.server)
	if server == noServer {
		return
	}
	now, state := time.Now(), p.server
	state.probeFailure = ""
	if p.problem != nil {
		state.probeFailure = p.problem.Message
	}
	c.machine.Probed(server, p.problem == nil, p.problem != nil && p.problem.Permanent(), now)
	if server == c.active { // the bridge has connected to it during the probe
		return
	}
	if p.problem != nil {
		c.logFailure(ctx, "probe failed", server, p.problem)
	} else if state.failure != "" {
		state.failure = ""
		c.Log.Info("probe passed", "server", c.servers[server].Name)
	}
	c.Observer.Probed(server, p.problem, now)
}
