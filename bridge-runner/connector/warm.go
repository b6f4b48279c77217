// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// standbySuffix makes the client identifier of the probes of a standby differ from that of the active
// runner. Otherwise the server would end one of two probes at the same time.
const standbySuffix = "-s"

// Warm keeps the connector ready for Run, which must not run at the same time: it probes all servers in
// turn, so that their names are resolved, TLS sessions are fresh, and wrong credentials are found.
// probed is called after the first probe of each server. If probes are disabled, it is called at once.
// Warm returns when the context ends.
func (c *Connector) Warm(ctx context.Context, probed func()) {
	defer c.Alive.Wait()
	c.mailbox.mu.Lock()
	settings := c.mailbox.first
	c.mailbox.mu.Unlock()
	interval := settings.Failover.ProbeInterval
	for ctx.Err() == nil && interval > 0 {
		for i := range settings.Servers {
			c.warm(ctx, i, settings)
		}
		probed()
		c.Alive.Wait()
		// The random part spreads the probes of many bridges.
		pause := time.Duration((0.8 + 0.4*rand.Float64()) * float64(interval)) //nolint:gosec // no secret
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	probed()
	c.Alive.Wait()
	<-ctx.Done()
}

// warm probes a server, and reports the result.
func (c *Connector) warm(ctx context.Context, server int, s *Settings) {
	c.Alive.Begin(2 * s.ProbeTimeout)
	err := probeAs(ctx, &s.Servers[server], s, s.ProbeClientID+standbySuffix)
	if ctx.Err() != nil {
		return
	}
	var problem *diagnosis.Problem
	if err != nil {
		problem = diagnosis.OfProbe(err)
	}
	c.Observer.Probed(server, problem, time.Now())
}

// probeAs probes a server with a client identifier.
func probeAs(ctx context.Context, server *Server, s *Settings, clientID string) error {
	cfg, err := config(server)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.ProbeTimeout)
	defer cancel()
	cfg.ClientID = clientID
	return session.Probe(ctx, cfg)
}

// recall gives the machine the knowledge of the process that this one replaces.
func (c *Connector) recall() {
	known := map[int]failover.Knowledge{}
	for i := range c.servers {
		if k, ok := c.Recalled[c.servers[i].Name]; ok {
			known[i] = k
		}
	}
	c.machine.Recall(known)
}
