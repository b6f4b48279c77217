// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package link

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

// probe probes a server, unless one of it is under way. The result comes by l.probes.
//
// One server is probed at a time, and the next when its connection is closed: servers
// that share their sessions end the older of two connections with one client identifier,
// and would make a failure of it.
func (l *Link) probe(ctx context.Context, server int) {
	if l.probing[server] {
		return
	}
	l.probing[server] = true
	l.leaving.Go(func() {
		select {
		case l.prober <- struct{}{}:
		case <-ctx.Done():
			return
		}
		err := l.check(ctx, server)
		<-l.prober
		select {
		case l.probes <- probed{server, err}:
		case <-ctx.Done():
		}
	})
}

func (l *Link) check(ctx context.Context, server int) error {
	cfg, err := l.config(server)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, l.ProbeTimeout)
	defer cancel()
	cfg.ClientID = l.ProbeClientID
	return session.Probe(ctx, cfg)
}

// probed notes the result of a probe.
func (l *Link) probed(ctx context.Context, p probed) {
	l.Alive.Begin(0)
	l.probing[p.server] = false
	now := time.Now()
	l.machine.Probed(p.server, p.err == nil, p.err != nil && session.AsError(p.err).ForGood(), now)
	l.wanted.probed(p)
	if p.server == l.active { // meanwhile
		return
	}
	if p.err == nil {
		if _, failing := l.failing[p.server]; failing {
			delete(l.failing, p.server)
			l.Log.Info("probe passed", "server", l.Servers[p.server].Name)
		}
		l.Observer.Probed(p.server, nil, now)
		return
	}
	reason := session.AsError(p.err)
	l.logFailure(ctx, "probe failed", p.server, reason)
	l.Observer.Probed(p.server, reason, now)
}
