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

// standbySuffix makes the client identifier of the probes of a standby differ from the active runner's
// identifier. Otherwise the server would end one of two probes at the same time.
const standbySuffix = "-s"

// firstWarmPause is the pause after the first round of probes for which the side is not warm. The pause doubles
// up to the interval of probes.
const firstWarmPause = time.Second

// Warm keeps the connector ready for Run: it probes all servers in turn, so that their names are
// resolved, TLS sessions are fresh, and wrong credentials are found. After each round of probes it calls
// probed: passed says by the name of each server whether its probe has succeeded. probed returns whether the
// side is warm. If probes are disabled, Warm calls probed once, with nil. Warm returns when the context ends.
// From the end of the context on, it reports nothing, and Run may be called.
func (c *Connector) Warm(ctx context.Context, probed func(passed map[string]bool) (warm bool)) {
	c.Alive.Wait()
	c.mailbox.mu.Lock()
	settings := c.mailbox.first
	c.mailbox.mu.Unlock()
	interval := settings.Failover.ProbeInterval
	if interval == 0 {
		probed(nil)
		return
	}
	retry := firstWarmPause
	for ctx.Err() == nil {
		pause := interval
		if passed := c.warmAll(ctx, settings); ctx.Err() != nil || probed(passed) {
			retry = firstWarmPause
		} else {
			pause = min(retry, interval)
			retry = 2 * pause
		}
		// The random part spreads the probes of many bridges.
		pause = time.Duration((0.8 + 0.4*rand.Float64()) * float64(pause)) //nolint:gosec // no secret
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// warmAll probes all servers in turn, and returns by their names whether the probes have succeeded.
func (c *Connector) warmAll(ctx context.Context, s *Settings) map[string]bool {
	passed := map[string]bool{}
	for i := range s.Servers {
		passed[s.Servers[i].Name] = c.warm(ctx, i, s)
	}
	return passed
}

// warm probes a server, and reports the result. It returns true if the probe has succeeded.
func (c *Connector) warm(ctx context.Context, server int, s *Settings) bool {
	err := c.probe(ctx, &s.Servers[server], s, s.ProbeClientID+standbySuffix)
	var problem *diagnosis.Problem
	if err != nil {
		problem = diagnosis.OfProbe(err)
	}
	c.warming.Lock()
	defer c.warming.Unlock()
	if ctx.Err() == nil {
		c.Observer.Probed(server, problem, time.Now())
	}
	return problem == nil
}

// Held returns the QoS 2 messages of the bridge that the servers may hold, by the name of the server. It is
// called after the end of Run. Servers may share their sessions: if one of them may hold a message, each of the others
// may hold it, too.
func (c *Connector) Held() map[string]session.Held {
	held, none := map[string]session.Held{}, true
	for i, state := range c.states {
		h := state.session.Held()
		none = none && (h.None || !h.Used)
		if i != c.active && (state.clientID != c.settings.ClientID || c.transferPending()) {
			h.None = false // the other process may use another session
		}
		held[c.servers[i].Name] = h
	}
	for name, h := range held {
		h.None = h.None && none
		held[name] = h
	}
	return held
}

// recall gives the machine the knowledge of the process that this one replaces.
func (c *Connector) recall() {
	known := map[int]failover.Knowledge{}
	for i := range c.servers {
		k, ok := c.Recalled[c.servers[i].Name]
		if !ok {
			continue
		}
		known[i] = k
		state, other := c.states[i], k.ClientID != "" && k.ClientID != c.settings.ClientID
		if k.Active && other {
			state.clientID = k.ClientID
			state.session.DoubtSubscriptions(c.settings.Subscriptions(true)) // it may hold messages
		}
		if k.Clean && (k.Active || !other) { // otherwise this process uses another session
			state.session.AssumeClean()
		}
		state.session.AssumeFreeQoS2Blocks(session.Blocks(k.FreeQoS2Blocks))
	}
	c.machine.Recall(known)
}
