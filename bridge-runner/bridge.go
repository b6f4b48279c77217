// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
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

// newBridge makes the parts of a bridge from its settings, and connects them. data is the
// directory for buffers on disk.
func newBridge(s *config.Settings, secrets config.Secrets, data string, state *report.State, metrics *report.Metrics, log *slog.Logger) (*bridge, error) {
	if s.Disk.Bytes > 0 && data == "" {
		return nil, errors.New("spec.buffer.disk is set, but the runner has no directory for the buffer; set --data to a directory, or remove spec.buffer.disk")
	}
	var local, remote sideSessions
	flush := func() {
		local.flush()
		remote.flush()
	}
	newPipe := func(direction string, rules []manifest.Rule) *delivery.Pipe {
		opts := delivery.Options{
			MemoryBytes:   s.MemoryBytes,
			BufferQoS0:    s.BufferQoS0,
			Unforwardable: delivery.Unforwardable{Block: s.BlockUnforwardable, DeadLetter: s.DeadLetterTopic},
			Drain:         delivery.DrainRate{Messages: s.DrainMessages, Bytes: s.DrainBytes},
			Flush:         flush,
		}
		if s.Disk.Bytes > 0 && len(rules) > 0 {
			opts.Disk = &delivery.Disk{
				Dir:           filepath.Join(data, bufferDirectory(direction)),
				Bytes:         s.Disk.Bytes,
				WhenFull:      s.Disk.WhenFull,
				TTL:           s.Disk.TTL,
				OnStateChange: state.WatchBacklog(direction, log),
			}
		}
		return delivery.New(rules, metrics.Meter(direction, log), opts)
	}
	b := &bridge{
		forwards:      newPipe(report.LocalToRemote, s.Forwards),
		subscriptions: newPipe(report.RemoteToLocal, s.Subscriptions),
		notifier:      newNotifier(s.Notifications, log),
		alive:         newLiveness(log),
		log:           log,
	}
	b.forwards.SetReverse(b.subscriptions)
	b.subscriptions.SetReverse(b.forwards)
	metrics.Backlog(report.LocalToRemote, b.forwards.Backlog)
	metrics.Backlog(report.RemoteToLocal, b.subscriptions.Backlog)

	var localEchoes, remoteEchoes *echoDetector
	if s.Loop {
		localEchoes, remoteEchoes = newEchoDetector(s.Subscriptions, s.Forwards), newEchoDetector(s.Forwards, s.Subscriptions)
	}
	connect := func(name string, settings *config.Side, rules []manifest.Rule, observer *report.Side) *connector.Connector {
		log := log.With("side", name)
		base := session.Config{Window: s.InflightWindow, Will: b.notifier.will(), RequireNoEcho: s.Loop, Fault: metrics.Faults(name, log)}
		c := newConnector(settings, rules, base, secrets, observer.Handshake)
		c.Observer, c.Log = observer, log
		return c
	}
	b.local = connect("local", &s.Local, s.Forwards, state.Local)
	b.local.Handler = side{out: b.forwards, in: b.subscriptions, sessions: &local, otherSessions: &remote, notifier: b.notifier, echoes: localEchoes, otherEchoes: remoteEchoes}
	b.remote = connect("remote", &s.Remote, s.Subscriptions, state.Remote)
	b.remote.Handler = side{out: b.subscriptions, in: b.forwards, sessions: &remote, otherSessions: &local, notifier: b.notifier, echoes: remoteEchoes, otherEchoes: localEchoes}

	b.alive.watchSide("local", b.local, &local)
	b.alive.watchSide("remote", b.remote, &remote)
	b.alive.watchPipe(report.LocalToRemote, b.forwards)
	b.alive.watchPipe(report.RemoteToLocal, b.subscriptions)
	b.alive.watchdog.Lock("notifications", b.notifier.tryLock)
	return b, nil
}

// bufferDirectory returns the name of a direction's directory in the directory for buffers.
// The names are part of the format on disk: another name would leave a backlog behind.
func bufferDirectory(direction string) string {
	if direction == report.LocalToRemote {
		return "local_to_remote"
	}
	return "remote_to_local"
}

// newConnector returns the connector of a side. rules are the rules of the direction whose
// source is this side. base has the session settings that are not settings of a side.
// onHandshake is called after each TLS handshake.
func newConnector(s *config.Side, rules []manifest.Rule, base session.Config, secrets config.Secrets, onHandshake func(server int, h transport.Handshake)) *connector.Connector {
	c := &connector.Connector{
		Subscriptions: func(identified bool) []session.Subscription {
			if identified {
				return delivery.IdentifiedSubscriptions(rules)
			}
			return delivery.Subscriptions(rules)
		},
		ConnectTimeout: s.ConnectTimeout,
		Failover:       s.Failover,
		ProbeTimeout:   s.ProbeTimeout,
		ProbeClientID:  s.ProbeClientID,
		DiscardStale:   s.DiscardStale,
	}
	base.Version, base.BridgeFlag, base.ClientID = s.Version, s.BridgeFlag, s.ClientID
	base.CleanStart, base.SessionExpiry = s.CleanSession, s.SessionExpiry
	base.MaximumPacketSize, base.PublishQoS = s.MaximumPacketSize, s.PublishQoS
	base.KeepAlive, base.PingTimeout, base.AckTimeout = s.KeepAlive, s.PingTimeout, s.AckTimeout
	for i := range s.Servers {
		server := &s.Servers[i]
		tickets := &transport.TLSSessions{Observe: func(h transport.Handshake) { onHandshake(i, h) }}
		c.Servers = append(c.Servers, connector.Server{
			Name: server.Name,
			URL:  server.URL,
			Config: func() (session.Config, error) {
				cfg, err := sessionConfig(base, s, server, secrets)
				cfg.Transport.Sessions = tickets
				return cfg, err
			},
		})
	}
	return c
}

// sessionConfig adds a server to the settings of sessions, for the next attempt to connect to
// it, with the current contents of the Secrets.
func sessionConfig(cfg session.Config, s *config.Side, server *config.Server, secrets config.Secrets) (session.Config, error) {
	var err error
	if cfg.Transport, err = config.Transport(s, server, secrets); err != nil {
		return session.Config{}, err
	}
	if server.LoginSecret != "" {
		cfg.CredentialsSource = fmt.Sprintf("the Secret %q", server.LoginSecret)
		if cfg.Username, cfg.Password, err = secrets.Login(server.LoginSecret, s.Version); err != nil {
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
