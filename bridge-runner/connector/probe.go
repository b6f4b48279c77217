// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// probed is the result of a probe.
type probed struct {
	server int
	err    error
}

// probe probes a server, unless one of it is under way. The result comes by c.probes.
//
// One server is probed at a time, and the next when its connection is closed: servers
// that share their sessions end the older of two connections with one client identifier,
// and would make a failure of it.
func (c *Connector) probe(ctx context.Context, server int) {
	if c.probing[server] {
		return
	}
	c.probing[server] = true
	c.leaving.Go(func() {
		select {
		case c.prober <- struct{}{}:
		case <-ctx.Done():
			return
		}
		err := c.check(ctx, server)
		<-c.prober
		select {
		case c.probes <- probed{server, err}:
		case <-ctx.Done():
		}
	})
}

func (c *Connector) check(ctx context.Context, server int) error {
	cfg, err := c.config(server)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.ProbeTimeout)
	defer cancel()
	cfg.ClientID = c.ProbeClientID
	return session.Probe(ctx, cfg)
}

// probed notes the result of a probe.
func (c *Connector) probed(ctx context.Context, p probed) {
	c.Alive.Begin(0)
	c.probing[p.server] = false
	now := time.Now()
	c.machine.Probed(p.server, p.err == nil, p.err != nil && session.AsError(p.err).ForGood(), now)
	c.wanted.probed(p)
	if p.server == c.active { // meanwhile
		return
	}
	if p.err == nil {
		if _, failing := c.failing[p.server]; failing {
			delete(c.failing, p.server)
			c.Log.Info("probe passed", "server", c.Servers[p.server].Name)
		}
		c.Observer.Probed(p.server, nil, now)
		return
	}
	reason := session.AsError(p.err)
	c.logFailure(ctx, "probe failed", p.server, reason)
	c.Observer.Probed(p.server, reason, now)
}
