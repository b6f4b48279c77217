// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// drainTimeout bounds how long a stopping runner waits for acknowledgements. It
// lies well within a pod's grace period of 30 seconds.
const drainTimeout = 10 * time.Second

// bridge is two connectors and the pipes between them.
type bridge struct {
	local, remote           *connector.Connector
	forwards, subscriptions *delivery.Pipe
	notifier                *notifier
	alive                   *liveness
	log                     *slog.Logger
}

// side is a connector's handler: its messages go into one pipe, and it is the
// destination of the other.
type side struct {
	out         *delivery.Pipe // takes what the side's servers send
	in          *delivery.Pipe // brings what the other side's servers send
	mine, other *current
	notifier    *notifier
	// echo and otherEcho notice that the servers of this and of the other side send
	// the bridge's own messages back. nil: they may.
	echo, otherEcho *echo
}

// current are the sessions of a side: the one that is up, and one that is to be. They
// are set by the side's connector alone.
type current struct {
	up  atomic.Pointer[session.Session]
	new atomic.Pointer[session.Session]
}

// flush sends what was written to them.
func (c *current) flush() {
	if s := c.up.Load(); s != nil {
		s.Flush()
	}
	if s := c.new.Load(); s != nil {
		s.Flush()
	}
}

// set notes which session is up.
func (c *current) set(up *session.Session) {
	c.up.Store(up)
	c.new.Store(nil)
}

func (x side) Use(s *session.Session) session.Handler {
	x.mine.new.Store(s)
	x.echo.begin(time.Now())
	return handler{x, s}
}

func (x side) Up(s *session.Session) {
	x.mine.set(s)
	x.in.Up(s)
	x.other.flush() // acknowledgements of what was dropped
	x.notifier.sessionUp(s)
}

func (x side) Down(s *session.Session) {
	x.mine.set(nil)
	x.in.Down(s)
	x.other.flush()
	x.notifier.sessionDown(s)
}

func (x side) Pause(ctx context.Context, s *session.Session) (inflight, left int) {
	return x.in.Pause(ctx, s)
}

func (x side) Resume(s *session.Session) {
	x.mine.set(s)
	x.in.Resume(s)
	x.other.flush()
}

func (x side) Replace(old, next *session.Session) {
	x.mine.set(next)
	x.in.Up(next)
	x.other.flush()
	x.notifier.replaced(old, next)
}

// handler handles what one session's server sends.
type handler struct {
	side
	s *session.Session
}

func (h handler) Received(in *session.Inbound) {
	if h.echo.received(in) {
		h.s.GiveUp(errEcho)
		return
	}
	h.otherEcho.publish(in)
	h.out.Receive(in)
}

func (h handler) Redelivered(*session.Inbound) { h.out.Redelivered() }
func (h handler) Idle()                        { h.other.flush() }
func (h handler) Acknowledged(m *session.Outgoing, refused *session.Refusal) {
	if m.Owner == nil {
		h.notifier.acknowledged(h.s, m, refused)
		return
	}
	h.in.Acknowledged(h.s, m, refused)
}

func (h handler) Ready() {
	h.notifier.ready(h.s)
	h.in.Ready(h.s)
	h.other.flush()
}

// newBridge wires up a bridge whose defaults are resolved.
func newBridge(m *v1alpha1.MQTTBridge, secrets config.Secrets, data string, state *report.State, metrics *report.Metrics, log *slog.Logger) (*bridge, error) {
	forwards, subscriptions, err := config.Directions(&m.Spec)
	if err != nil {
		return nil, err
	}
	window := int(*m.Spec.Delivery.InflightWindow)
	var local, remote current
	buffers, err := newBuffers(&m.Spec, data, state, log)
	if err != nil {
		return nil, err
	}
	b := &bridge{
		forwards:      delivery.New(forwards, metrics.Meter(report.LocalToRemote, log), buffers.options(report.LocalToRemote, forwards, &local)),
		subscriptions: delivery.New(subscriptions, metrics.Meter(report.RemoteToLocal, log), buffers.options(report.RemoteToLocal, subscriptions, &remote)),
		notifier:      newNotifier(m.Spec.Notifications, log),
		alive:         newLiveness(log),
		log:           log,
	}
	b.forwards.SetReverse(b.subscriptions)
	b.subscriptions.SetReverse(b.forwards)
	loops := config.FindLoop(&m.Spec) != nil
	var localEcho, remoteEcho *echo
	if loops {
		localEcho, remoteEcho = newEcho(subscriptions, forwards), newEcho(forwards, subscriptions)
	}
	metrics.Backlog(report.LocalToRemote, b.forwards.Backlog)
	metrics.Backlog(report.RemoteToLocal, b.subscriptions.Backlog)
	if b.local, err = newConnector(&m.Spec.Local, window, b.notifier.will(), secrets, forwards, subscriptions, loops, state.Local.Handshake); err != nil {
		return nil, err
	}
	b.local.Handler = side{out: b.forwards, in: b.subscriptions, mine: &local, other: &remote, notifier: b.notifier, echo: localEcho, otherEcho: remoteEcho}
	b.local.Observer, b.local.Log = state.Local, log.With("side", "local")
	reportFaults(b.local, metrics.Faults("local", b.local.Log))
	if b.remote, err = newConnector(&m.Spec.Remote, window, b.notifier.will(), secrets, subscriptions, forwards, loops, state.Remote.Handshake); err != nil {
		return nil, err
	}
	b.remote.Handler = side{out: b.subscriptions, in: b.forwards, mine: &remote, other: &local, notifier: b.notifier, echo: remoteEcho, otherEcho: localEcho}
	b.remote.Observer, b.remote.Log = state.Remote, log.With("side", "remote")
	reportFaults(b.remote, metrics.Faults("remote", b.remote.Log))
	b.alive.side("local", b.local, &local)
	b.alive.side("remote", b.remote, &remote)
	b.alive.pipe(report.LocalToRemote, b.forwards)
	b.alive.pipe(report.RemoteToLocal, b.subscriptions)
	b.alive.dog.Lock("notifications", b.notifier.tryLock)
	return b, nil
}

// reportFaults calls fault with the packets of a side's servers that break the protocol.
func reportFaults(l *connector.Connector, fault func(session.Fault)) {
	for i := range l.Servers {
		of := l.Servers[i].Config
		l.Servers[i].Config = func() (session.Config, error) {
			cfg, err := of()
			cfg.Fault = fault
			return cfg, err
		}
	}
}

// newConnector makes the connector of a side from which messages go by rules, and to which others
// come by reverse.
func newConnector(s *v1alpha1.Side, window int, will *packet.Will, secrets config.Secrets, rules, reverse []config.Rule, noEcho bool, handshaken func(server int, h transport.Handshake)) (*connector.Connector, error) {
	policy, err := config.Policy(s.Failover)
	if err != nil {
		return nil, err
	}
	// A side from which nothing is received has no session worth keeping: no messages
	// wait in it.
	clean := *s.CleanSession || len(rules) == 0
	var publishQoS byte
	for i := range reverse {
		publishQoS = max(publishQoS, reverse[i].QoS)
	}
	l := &connector.Connector{
		Subscriptions: func(identified bool) []session.Subscription {
			if identified {
				return delivery.IdentifiedSubscriptions(rules)
			}
			return delivery.Subscriptions(rules)
		},
		ConnectTimeout: time.Duration(*s.Failover.ConnectTimeoutSeconds) * time.Second,
		Policy:         policy,
		ProbeTimeout:   time.Duration(*s.Failover.Probe.TimeoutSeconds) * time.Second,
		ProbeClientID:  s.Failover.Probe.ClientID,
		DiscardStale:   *s.Failover.StaleSession == v1alpha1.StaleSessionDiscard,
	}
	for i, server := range s.Servers() {
		sessions := &transport.TLSSessions{Observe: func(h transport.Handshake) { handshaken(i, h) }}
		l.Servers = append(l.Servers, connector.Server{
			Name: server.Name,
			URL:  v1alpha1.PublicURL(server.URL),
			Config: func() (session.Config, error) {
				cfg, err := sessionConfig(s, &server, secrets)
				cfg.CleanStart, cfg.Window, cfg.Will, cfg.NoEcho, cfg.PublishQoS = clean, window, will, noEcho, publishQoS
				cfg.Transport.Sessions = sessions
				return cfg, err
			},
		})
	}
	return l, nil
}

var versions = map[v1alpha1.ProtocolVersion]packet.Version{
	v1alpha1.ProtocolVersion311: packet.V311,
	v1alpha1.ProtocolVersion5:   packet.V5,
}

// sessionConfig returns how to connect to a server now. What a server sets takes
// the place of what its side sets.
func sessionConfig(s *v1alpha1.Side, server *v1alpha1.Server, secrets config.Secrets) (session.Config, error) {
	dial, err := config.Transport(s, server, secrets)
	if err != nil {
		return session.Config{}, err
	}
	cfg := session.Config{
		Transport:     dial,
		Version:       versions[*s.ProtocolVersion],
		BridgeBit:     *s.BridgeMode == v1alpha1.BridgeModeAuto,
		ClientID:      s.ClientID,
		SessionExpiry: uint32(*s.SessionExpirySeconds), //nolint:gosec // validated

		MaximumPacketSize: int(s.MaximumPacketSize.Value()),
		KeepAlive:         time.Duration(*s.KeepAliveSeconds) * time.Second,
		PingTimeout:       time.Duration(*s.Failover.PingTimeoutSeconds) * time.Second,
		AckTimeout:        time.Duration(*s.Failover.AckTimeoutSeconds) * time.Second,
	}
	credentials := s.Credentials
	if server.Credentials != nil {
		credentials = server.Credentials
	}
	if credentials != nil {
		cfg.LoginFrom = fmt.Sprintf("the Secret %q", credentials.SecretRef.Name)
		if cfg.Username, cfg.Password, err = secrets.Login(credentials, *s.ProtocolVersion); err != nil {
			return session.Config{}, err
		}
	}
	return cfg, nil
}

// request asks the sides for the servers that the bridge's annotations name.
func (b *bridge) request(annotations map[string]string) {
	b.local.Request(annotations[v1alpha1.AnnotationSwitchLocal])
	b.remote.Request(annotations[v1alpha1.AnnotationSwitchRemote])
}

// run keeps both sides connected until the context ends, and then drains: it
// takes in nothing more, waits until what it holds is acknowledged, and closes
// both sessions.
func (b *bridge) run(ctx context.Context) {
	disks, stopDisks := context.WithCancel(context.WithoutCancel(ctx))
	var keeping sync.WaitGroup
	keeping.Go(func() { b.forwards.RunSpool(disks) })
	keeping.Go(func() { b.subscriptions.RunSpool(disks) })
	defer keeping.Wait() // last, when nothing comes any more
	defer stopDisks()
	connectors, stop := context.WithCancel(context.WithoutCancel(ctx)) // they outlive it for the drain
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { b.local.Run(connectors, ctx.Done()) })
	running.Go(func() { b.remote.Run(connectors, ctx.Done()) })
	<-ctx.Done()
	b.log.Info("stopping: waiting for what is in flight")
	b.drain(connectors)
	b.notifier.stop()
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
