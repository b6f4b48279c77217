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
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// drainTimeout is the longest time that a stopping runner waits for acknowledgements. It
// is well below a pod's grace period of 30 seconds.
const drainTimeout = 10 * time.Second

// bridge consists of two connectors and the pipes between them.
type bridge struct {
	local, remote           *connector.Connector
	forwards, subscriptions *delivery.Pipe
	notifier                *notifier
	alive                   *liveness
	log                     *slog.Logger
}

// side is a connector's handler: the side is the source of one pipe and the destination
// of the other.
type side struct {
	out                     *delivery.Pipe // receives the messages of this side's servers
	in                      *delivery.Pipe // publishes the other side's messages on this side
	sessions, otherSessions *sideSessions
	notifier                *notifier
	// echoes and otherEchoes detect that the servers of this side and of the other side send
	// the bridge's own messages back. They are nil if the rules form no loop: servers may
	// then send messages back.
	echoes, otherEchoes *echoDetector
}

// sideSessions are the sessions of a side. Only the side's connector sets them.
type sideSessions struct {
	up      atomic.Pointer[session.Session] // connected and subscribed; nil: none
	opening atomic.Pointer[session.Session] // not up yet; nil: none
}

// flush sends the packets that were written to the sessions and not sent.
func (c *sideSessions) flush() {
	if s := c.up.Load(); s != nil {
		s.Flush()
	}
	if s := c.opening.Load(); s != nil {
		s.Flush()
	}
}

// set records the session that is up. nil: none is.
func (c *sideSessions) set(up *session.Session) {
	c.up.Store(up)
	c.opening.Store(nil)
}

func (x side) NewSession(s *session.Session) session.Handler {
	x.sessions.opening.Store(s)
	x.echoes.begin(time.Now())
	return handler{x, s}
}

func (x side) Up(s *session.Session) {
	x.sessions.set(s)
	x.in.Up(s)
	x.otherSessions.flush() // sends the acknowledgements of messages that were dropped
	x.notifier.sessionUp(s)
}

func (x side) Down(s *session.Session) {
	x.sessions.set(nil)
	x.in.Down(s)
	x.otherSessions.flush()
	x.notifier.sessionDown(s)
}

func (x side) Pause(ctx context.Context, s *session.Session) (inflight, left int) {
	return x.in.Pause(ctx, s)
}

func (x side) Resume(s *session.Session) {
	x.sessions.set(s)
	x.in.Resume(s)
	x.otherSessions.flush()
}

func (x side) Replace(old, next *session.Session) {
	x.sessions.set(next)
	x.in.Up(next)
	x.otherSessions.flush()
	x.notifier.replaced(old, next)
}

// handler handles the packets that one session's server sends.
type handler struct {
	side
	s *session.Session
}

func (h handler) Received(in *session.Inbound) {
	if h.echoes.received(in) {
		h.s.RejectServer(diagnosis.EchoReceived)
		return
	}
	h.otherEchoes.publish(in)
	h.out.Receive(in)
}

func (h handler) Redelivered(*session.Inbound) { h.out.Redelivered() }
func (h handler) Idle()                        { h.otherSessions.flush() }
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
	h.otherSessions.flush()
}

// newBridge connects the parts of a bridge. The defaults of m must be resolved.
func newBridge(m *v1alpha1.MQTTBridge, secrets config.Secrets, data string, state *report.State, metrics *report.Metrics, log *slog.Logger) (*bridge, error) {
	forwards, subscriptions, err := config.Directions(&m.Spec)
	if err != nil {
		return nil, err
	}
	window := int(*m.Spec.Delivery.InflightWindow)
	var local, remote sideSessions
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
	var localEchoes, remoteEchoes *echoDetector
	if loops {
		localEchoes, remoteEchoes = newEchoDetector(subscriptions, forwards), newEchoDetector(forwards, subscriptions)
	}
	metrics.Backlog(report.LocalToRemote, b.forwards.Backlog)
	metrics.Backlog(report.RemoteToLocal, b.subscriptions.Backlog)
	if b.local, err = newConnector(&m.Spec.Local, window, b.notifier.will(), secrets, forwards, subscriptions, loops, state.Local.Handshake); err != nil {
		return nil, err
	}
	b.local.Handler = side{out: b.forwards, in: b.subscriptions, sessions: &local, otherSessions: &remote, notifier: b.notifier, echoes: localEchoes, otherEchoes: remoteEchoes}
	b.local.Observer, b.local.Log = state.Local, log.With("side", "local")
	reportFaults(b.local, metrics.Faults("local", b.local.Log))
	if b.remote, err = newConnector(&m.Spec.Remote, window, b.notifier.will(), secrets, subscriptions, forwards, loops, state.Remote.Handshake); err != nil {
		return nil, err
	}
	b.remote.Handler = side{out: b.subscriptions, in: b.forwards, sessions: &remote, otherSessions: &local, notifier: b.notifier, echoes: remoteEchoes, otherEchoes: localEchoes}
	b.remote.Observer, b.remote.Log = state.Remote, log.With("side", "remote")
	reportFaults(b.remote, metrics.Faults("remote", b.remote.Log))
	b.alive.watchSide("local", b.local, &local)
	b.alive.watchSide("remote", b.remote, &remote)
	b.alive.watchPipe(report.LocalToRemote, b.forwards)
	b.alive.watchPipe(report.RemoteToLocal, b.subscriptions)
	b.alive.watchdog.Lock("notifications", b.notifier.tryLock)
	return b, nil
}

// reportFaults makes the side's sessions call fault for each packet that breaks the
// protocol.
func reportFaults(c *connector.Connector, fault func(session.Fault)) {
	for i := range c.Servers {
		next := c.Servers[i].Config
		c.Servers[i].Config = func() (session.Config, error) {
			cfg, err := next()
			cfg.Fault = fault
			return cfg, err
		}
	}
}

// newConnector returns the connector of a side. rules are the rules of the direction whose
// source is this side, reverse the rules of the direction whose destination it is.
// onHandshake is called after each TLS handshake.
func newConnector(s *v1alpha1.Side, window int, will *packet.Will, secrets config.Secrets, rules, reverse []config.Rule, noEcho bool, onHandshake func(server int, h transport.Handshake)) (*connector.Connector, error) {
	policy, err := config.Policy(s.Failover)
	if err != nil {
		return nil, err
	}
	// Without rules the bridge has no subscriptions on this side, so no messages wait in
	// the session and the bridge does not need to resume it.
	clean := *s.CleanSession || len(rules) == 0
	var publishQoS byte
	for i := range reverse {
		publishQoS = max(publishQoS, reverse[i].QoS)
	}
	c := &connector.Connector{
		Subscriptions: func(identified bool) []session.Subscription {
			if identified {
				return delivery.IdentifiedSubscriptions(rules)
			}
			return delivery.Subscriptions(rules)
		},
		ConnectTimeout: time.Duration(*s.Failover.ConnectTimeoutSeconds) * time.Second,
		Failover:       policy,
		ProbeTimeout:   time.Duration(*s.Failover.Probe.TimeoutSeconds) * time.Second,
		ProbeClientID:  s.Failover.Probe.ClientID,
		DiscardStale:   *s.Failover.StaleSession == v1alpha1.StaleSessionDiscard,
	}
	for i, server := range s.Servers() {
		sessions := &transport.TLSSessions{Observe: func(h transport.Handshake) { onHandshake(i, h) }}
		c.Servers = append(c.Servers, connector.Server{
			Name: server.Name,
			URL:  v1alpha1.PublicURL(server.URL),
			Config: func() (session.Config, error) {
				cfg, err := sessionConfig(s, &server, secrets)
				cfg.CleanStart, cfg.Window, cfg.Will, cfg.RequireNoEcho, cfg.PublishQoS = clean, window, will, noEcho, publishQoS
				cfg.Transport.Sessions = sessions
				return cfg, err
			},
		})
	}
	return c, nil
}

var versions = map[v1alpha1.ProtocolVersion]packet.Version{
	v1alpha1.ProtocolVersion311: packet.V311,
	v1alpha1.ProtocolVersion5:   packet.V5,
}

// sessionConfig returns the settings for the next attempt to connect to a server, with the
// current contents of the Secrets. The server's settings override its side's.
func sessionConfig(s *v1alpha1.Side, server *v1alpha1.Server, secrets config.Secrets) (session.Config, error) {
	dial, err := config.Transport(s, server, secrets)
	if err != nil {
		return session.Config{}, err
	}
	cfg := session.Config{
		Transport:     dial,
		Version:       versions[*s.ProtocolVersion],
		BridgeFlag:    *s.BridgeMode == v1alpha1.BridgeModeAuto,
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
		cfg.CredentialsSource = fmt.Sprintf("the Secret %q", credentials.SecretRef.Name)
		if cfg.Username, cfg.Password, err = secrets.Login(credentials, *s.ProtocolVersion); err != nil {
			return session.Config{}, err
		}
	}
	return cfg, nil
}

// requestSwitches requests the switches that the bridge's annotations name.
func (b *bridge) requestSwitches(annotations map[string]string) {
	b.local.Request(annotations[v1alpha1.AnnotationSwitchLocal])
	b.remote.Request(annotations[v1alpha1.AnnotationSwitchRemote])
}

// run keeps both sides connected until the context ends. It then drains the bridge: it
// accepts no more messages, waits until the destinations have acknowledged the messages
// that it holds, and closes both sessions.
func (b *bridge) run(ctx context.Context) {
	spools, stopSpools := context.WithCancel(context.WithoutCancel(ctx))
	var spooling sync.WaitGroup
	spooling.Go(func() { b.forwards.RunSpool(spools) })
	spooling.Go(func() { b.subscriptions.RunSpool(spools) })
	defer spooling.Wait() // last, when no more messages arrive
	defer stopSpools()
	connectors, stop := context.WithCancel(context.WithoutCancel(ctx)) // the connectors run until the bridge has drained
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { b.local.Run(connectors, ctx.Done()) })
	running.Go(func() { b.remote.Run(connectors, ctx.Done()) })
	<-ctx.Done()
	b.log.Info("the runner stops; it waits until the destinations have acknowledged the messages that it holds")
	b.drain(connectors)
	b.notifier.stop()
	stop()
	running.Wait()
}

func (b *bridge) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	var unacked [2]int
	var draining sync.WaitGroup
	draining.Go(func() { unacked[0] = b.forwards.Drain(ctx) })
	draining.Go(func() { unacked[1] = b.subscriptions.Drain(ctx) })
	draining.Wait()
	if unacked[0]+unacked[1] > 0 {
		b.log.Warn("the runner stops before the destinations have acknowledged all messages; the sources keep the messages of QoS 1 and 2",
			"localToRemote", unacked[0], "remoteToLocal", unacked[1])
	}
}
