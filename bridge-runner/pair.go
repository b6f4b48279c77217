// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/member"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

// activeState is the state of a member that forwards.
const activeState = role.Active

// pair is this process and the other machine of --peer. A nil pair does nothing.
type pair struct {
	group    *group
	listener net.Listener
	ended    chan struct{}
	err      error // valid when ended is closed
}

// newPair opens the port for the other machine. It returns nil without --peer.
func newPair(o *peerOptions, registry *report.Registry, log *slog.Logger) (*pair, error) {
	if !o.set() {
		return nil, nil
	}
	own, trusted, err := o.keys()
	if err != nil {
		return nil, err
	}
	var causes []string
	for _, c := range member.Causes {
		causes = append(causes, string(c))
	}
	metrics := registry.AddMember(causes)
	g := newGroup(metrics, log)
	g.member, err = member.New(member.Config{
		Certificate: own, Trusted: trusted, Address: o.address, Preferred: o.preferred, Timeout: o.timeout,
		Bridges: g, Log: log,
		OnChange: func(s member.Status) { metrics.SetState(s.State == activeState, s.Warm, s.Peer.Connected) },
	})
	if err != nil {
		return nil, fmt.Errorf("--peer: %w", err)
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return nil, fmt.Errorf("listening on the address of --peer-listen: %w", err)
	}
	return &pair{group: g, listener: listener, ended: make(chan struct{})}, nil
}

// start makes this process a member, and returns a context that ends when the process may end. Without
// a pair, this is ctx. When ctx ends, the process hands over first.
func (p *pair) start(ctx context.Context) context.Context {
	if p == nil {
		return ctx
	}
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer cancel()
		defer close(p.ended)
		p.err = p.group.member.Run(p.listener)
	}()
	context.AfterFunc(ctx, p.group.member.Shutdown)
	p.group.handleSignals(out)
	return out
}

// wait waits until the process is no member any more, and returns why this was not planned, or nil.
func (p *pair) wait() error {
	if p == nil {
		return nil
	}
	p.group.member.Shutdown() // the bridge may have ended because it was deleted
	<-p.ended
	return p.err
}

// members returns the group, nil if there is none.
func (p *pair) members() *group {
	if p == nil {
		return nil
	}
	return p.group
}

// status returns the status of this process as a member, nil if it is none.
func (g *group) status() *member.Status {
	if g == nil {
		return nil
	}
	s := g.member.Status()
	return &s
}
