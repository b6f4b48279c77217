// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/link"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// drainTimeout bounds how long a stopping runner waits for acknowledgements. It
// lies well within a pod's grace period of 30 seconds.
const drainTimeout = 10 * time.Second

// bridge is two links and the pipes between them.
type bridge struct {
	local, remote           *link.Link
	forwards, subscriptions *delivery.Pipe
	log                     *slog.Logger
}

// side is a link's handler: its messages go into one pipe, and it is the
// destination of the other.
type side struct {
	out *delivery.Pipe // takes what the side's servers send
	in  *delivery.Pipe // brings what the other side's servers send
}

func (s side) Opened(c *session.Session, server int)           { s.out.Opened(c, server) }
func (s side) Receive(c *session.Session, in *session.Inbound) { s.out.Receive(c, in) }
func (s side) Up(c *session.Session)                           { s.in.Up(c) }
func (s side) Down(c *session.Session)                         { s.in.Down(c) }

// newBridge wires up a bridge whose defaults are resolved.
func newBridge(m *v1alpha1.MQTTBridge, secrets config.Secrets, state *report.State, metrics *report.Metrics, log *slog.Logger) (*bridge, error) {
	forwards, err := config.Rules(m.Spec.Forwards)
	if err != nil {
		return nil, fmt.Errorf("forwards: %w", err)
	}
	subscriptions, err := config.Rules(m.Spec.Subscriptions)
	if err != nil {
		return nil, fmt.Errorf("subscriptions: %w", err)
	}
	window := int(*m.Spec.Delivery.InflightWindow)
	b := &bridge{
		forwards:      delivery.New(forwards, window, metrics.Meter(report.LocalToRemote)),
		subscriptions: delivery.New(subscriptions, window, metrics.Meter(report.RemoteToLocal)),
		log:           log,
	}
	b.local = newLink(&m.Spec.Local, window, secrets, delivery.Subscriptions(forwards))
	b.local.Handler = side{out: b.forwards, in: b.subscriptions}
	b.local.Observer, b.local.Log = state.Local, log.With("side", "local")
	b.remote = newLink(&m.Spec.Remote, window, secrets, delivery.Subscriptions(subscriptions))
	b.remote.Handler = side{out: b.subscriptions, in: b.forwards}
	b.remote.Observer, b.remote.Log = state.Remote, log.With("side", "remote")
	return b, nil
}

func newLink(s *v1alpha1.Side, window int, secrets config.Secrets, subscriptions []session.Subscription) *link.Link {
	// A side from which nothing is received has no session worth keeping. One that
	// is kept all the same would hold packet identifiers of publishes that a
	// restarted runner no longer knows.
	clean := *s.CleanSession || len(subscriptions) == 0
	l := &link.Link{
		Subscriptions:  subscriptions,
		ConnectTimeout: time.Duration(*s.Failover.ConnectTimeoutSeconds) * time.Second,
		RetryInitial:   time.Duration(*s.Failover.Retry.InitialMilliseconds) * time.Millisecond,
		RetryMax:       time.Duration(*s.Failover.Retry.MaxSeconds) * time.Second,
	}
	for _, server := range s.Servers() {
		l.Servers = append(l.Servers, link.Server{
			Name: server.Name,
			URL:  server.URL,
			Config: func() (session.Config, error) {
				return sessionConfig(s, &server, clean, window, secrets)
			},
		})
	}
	return l
}

// sessionConfig returns how to connect to a server now. What a server sets takes
// the place of what its side sets.
func sessionConfig(s *v1alpha1.Side, server *v1alpha1.Server, clean bool, window int, secrets config.Secrets) (session.Config, error) {
	address, err := config.ParseURL(server.URL)
	if err != nil {
		return session.Config{}, err
	}
	cfg := session.Config{
		HostPort:     address.HostPort,
		ClientID:     s.ClientID,
		CleanSession: clean,
		KeepAlive:    time.Duration(*s.KeepAliveSeconds) * time.Second,
		PingTimeout:  time.Duration(*s.Failover.PingTimeoutSeconds) * time.Second,
		AckTimeout:   time.Duration(*s.Failover.AckTimeoutSeconds) * time.Second,
		Window:       window,
	}
	credentials, tlsSettings := s.Credentials, s.TLS
	if server.Credentials != nil {
		credentials = server.Credentials
	}
	if server.TLS != nil {
		tlsSettings = server.TLS
	}
	if credentials != nil {
		cfg.LoginFrom = fmt.Sprintf("the Secret %q", credentials.SecretRef.Name)
		if cfg.Username, cfg.Password, err = secrets.Credentials(credentials); err != nil {
			return session.Config{}, err
		}
	}
	if address.TLS {
		if cfg.TLS, err = secrets.TLS(tlsSettings, address.Host); err != nil {
			return session.Config{}, err
		}
	}
	return cfg, nil
}

// run keeps both sides connected until the context ends, and then drains: it
// takes in nothing more, waits until what it holds is acknowledged, and closes
// both sessions.
func (b *bridge) run(ctx context.Context) {
	links, stop := context.WithCancel(context.WithoutCancel(ctx)) // they outlive it for the drain
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { b.local.Run(links) })
	running.Go(func() { b.remote.Run(links) })
	<-ctx.Done()
	b.log.Info("stopping: waiting for what is in flight")
	b.drain(links)
	stop()
	running.Wait()
}

func (b *bridge) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	var left [2]int
	var draining sync.WaitGroup
	draining.Go(func() { left[0] = b.forwards.Drain(ctx) })
	draining.Go(func() { left[1] = b.subscriptions.Drain(ctx) })
	draining.Wait()
	if left[0]+left[1] > 0 {
		b.log.Warn("stopping with messages that the destination has not acknowledged; their source keeps them",
			"localToRemote", left[0], "remoteToLocal", left[1])
	}
}
