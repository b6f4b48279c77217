// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"math/rand/v2"
	"slices"
	"time"
)

func randomConfig(random *rand.Rand, retryInitial time.Duration) Config {
	seconds := func(limit int) time.Duration { return time.Duration(1+random.IntN(limit)) * time.Second }
	cfg := Config{
		RetryInitial: retryInitial, RetryMax: max(seconds(60), retryInitial),
		ProbeInterval: seconds(60), Failback: random.IntN(4) > 0, Stable: seconds(120),
	}
	if !cfg.Failback && random.IntN(2) == 0 {
		cfg.ProbeInterval = 0
	}
	return cfg
}

// reconfigure gives the machine other settings, and a list with some of the servers and new ones
// in another order.
func (w *world) reconfigure() {
	var kept []int
	for i := range w.servers {
		if w.random.IntN(4) > 0 {
			kept = append(kept, i)
		}
	}
	for range w.random.IntN(3) {
		kept = append(kept, noServer)
	}
	if len(kept) == 0 {
		kept = append(kept, noServer)
	}
	w.random.Shuffle(len(kept), func(i, j int) { kept[i], kept[j] = kept[j], kept[i] })
	kept = kept[:min(len(kept), maxServers)]
	cfg := randomConfig(w.random, w.m.cfg.RetryInitial)
	w.say("list %v, %+v", kept, cfg)
	w.m.Reconfigured(cfg, kept, w.now)
	w.moveTo(kept)
	w.allowed += 2 * maxServers
}

// moveTo gives the servers the indexes of the new list. A removed server in use is behind the list.
func (w *world) moveTo(kept []int) {
	all := kept
	if w.active != noServer && newIndex(kept, w.active) == noServer {
		all = append(slices.Clone(kept), w.active)
	}
	servers := make([]simulated, len(all))
	for i, old := range all {
		if old != noServer {
			servers[i] = w.servers[old]
		}
	}
	w.servers, w.active = servers, newIndex(all, w.active)
	for i := range w.pending {
		w.pending[i].server = newIndex(all, w.pending[i].server)
	}
	w.requested = newIndex(kept, w.requested)
	w.open = w.open && w.requested != noServer
	w.forgetMissing()
	w.since, w.tried = w.now, map[int]bool{}
}

// forgetMissing forgets a removed server that is not in use, and the probes of removed servers.
func (w *world) forgetMissing() {
	if listed := w.m.cfg.Servers; w.active < listed {
		w.servers = w.servers[:listed]
	}
	w.pending = slices.DeleteFunc(w.pending, func(p probe) bool { return p.server < 0 || p.server >= len(w.servers) })
}
