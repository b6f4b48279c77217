// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/member"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

// activeState is the state of a member that forwards.
const activeState = role.Active

// membership is this process as a member of a group: with --peer, or with --group. A nil membership
// does nothing.
type membership struct {
	group    *group
	listener net.Listener
	ended    chan struct{}
	err      error // valid when ended is closed
}

// newMembership opens the port for the other members. It returns nil without --peer and --group.
// namespace is the namespace of the Lease.
func newMembership(o *options, namespace string, registry *report.Registry, log *slog.Logger) (*membership, error) {
	switch {
	case o.peer.set():
		own, trusted, err := o.peer.keys()
		if err != nil {
			return nil, err
		}
		p := &o.peer
		cfg := member.Config{Certificate: own, Trusted: trusted, Address: p.address, Preferred: p.preferred, Timeout: p.timeout}
		return join(&cfg, "--peer", p.listen, registry, log)
	case o.group.set():
		cfg, err := o.group.config(namespace)
		if err != nil {
			return nil, err
		}
		return join(cfg, "--group", o.group.listen, registry, log)
	}
	return nil, nil
}

// join opens the port of a member with these settings. name is the name of the flag that it follows
// from.
func join(cfg *member.Config, name, listen string, registry *report.Registry, log *slog.Logger) (*membership, error) {
	causes := make([]string, len(member.Causes))
	for i, c := range member.Causes {
		causes[i] = string(c)
	}
	metrics := registry.AddMember(causes)
	g := newGroup(metrics, log)
	cfg.Bridges, cfg.Log, cfg.OnChange = g, log, g.statusChanged
	var err error
	if g.member, err = member.New(*cfg); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("listening on the address of %s-listen: %w", name, err)
	}
	return &membership{group: g, listener: listener, ended: make(chan struct{})}, nil
}

// start makes this process a member, and returns a context that ends when the process may end. Without
// a group, this is ctx. When ctx ends, the process hands over first.
func (p *membership) start(ctx context.Context) context.Context {
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
func (p *membership) wait() error {
	if p == nil {
		return nil
	}
	p.group.member.Shutdown() // the bridge may have ended because it was deleted
	<-p.ended
	return p.err
}

// members returns the group, nil if there is none.
func (p *membership) members() *group {
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

// Causes of a member that is not ready.
var (
	errWarming = errors.New("the standby has not probed all servers yet, or it does not reach a server that the active runner uses; if this lasts, compare the servers in the status of both runners")
	errAlone   = errors.New("the runner has reached neither another member of its group nor the Lease")
)

// ready returns why the process is not ready, or nil.
func (g *group) ready() error {
	if g == nil {
		return nil
	}
	switch s := g.member.Status(); {
	case g.state != nil && s.State == role.Starting:
		return errAlone
	case !s.Warm && s.State != activeState:
		return errWarming
	}
	return nil
}
