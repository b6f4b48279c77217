// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
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
	local, remote                 *connector.Connector
	localToRemote, remoteToLocal  *delivery.Pipe
	flusher                       *session.Flusher
	notifier                      *notifier
	echoes                        echoDetectors
	localSessions, remoteSessions *sideSessions
	alive                         *liveness
	log                           *slog.Logger
}

// newBridge makes the parts of a bridge from its settings, and connects them.
func newBridge(s *config.Settings, from *setup, state *report.State, log *slog.Logger) *bridge {
	metrics := from.metrics
	local, remote := &sideSessions{}, &sideSessions{}
	flusher := &session.Flusher{}
	newPipe := func(direction string, rules []manifest.Rule) *delivery.Pipe {
		opts := delivery.Options{
			MemoryBytes:   s.MemoryBytes,
			BufferQoS0:    s.BufferQoS0,
			Unforwardable: delivery.Unforwardable{Block: s.BlockUnforwardable, DeadLetter: s.DeadLetterTopic},
			Drain:         delivery.DrainRate{Messages: s.DrainMessages, Bytes: s.DrainBytes},
			Flush:         flusher.Flush,
		}
		disk := s.Disk.Bytes
		if len(rules) == 0 {
			disk = 0
		}
		metrics.SetCapacity(direction, int64(s.MemoryBytes), disk)
		if disk > 0 {
			opts.Disk = &delivery.Disk{
				Dir:           filepath.Join(from.data, bufferDirectory(direction)),
				Bytes:         disk,
				WhenFull:      s.Disk.WhenFull,
				TTL:           s.Disk.TTL,
				OnStateChange: state.WatchBacklog(direction, log),
			}
		}
		return delivery.New(rules, metrics.Meter(direction, rules, log), opts)
	}
	b := &bridge{
		localToRemote: newPipe(report.LocalToRemote, s.LocalToRemote),
		remoteToLocal: newPipe(report.RemoteToLocal, s.RemoteToLocal),
		flusher:       flusher,
		notifier:      newNotifier(s.Notifications, flusher, log),
		localSessions: local, remoteSessions: remote,
		alive: newLiveness(log),
		log:   log,
	}
	b.localToRemote.SetReverse(b.remoteToLocal)
	b.remoteToLocal.SetReverse(b.localToRemote)
	metrics.Backlog(report.LocalToRemote, b.localToRemote.Backlog)
	metrics.Backlog(report.RemoteToLocal, b.remoteToLocal.Backlog)

	b.echoes.setRules(s.LocalToRemote, s.RemoteToLocal, s.Loop, time.Now())
	connect := func(name string, settings *config.Side, rules []manifest.Rule, observer *report.Side) *connector.Connector {
		log := log.With("side", name)
		base := session.Config{
			Transport: transport.Config{DelayReads: from.delayReads},
			Window:    s.InflightWindow, Will: b.notifier.will(), RequireNoEcho: s.Loop, Fault: metrics.Faults(name, log), Flusher: flusher,
		}
		c := &connector.Connector{Observer: observer, Log: log}
		c.Apply(connectorSettings(settings, rules, base, from.secrets, observer.Handshake))
		return c
	}
	b.local = connect("local", &s.Local, s.LocalToRemote, state.Local)
	b.local.Handler = side{out: b.localToRemote, in: b.remoteToLocal, sessions: local, flusher: flusher, notifier: b.notifier, echoes: &b.echoes.local, otherEchoes: &b.echoes.remote}
	b.remote = connect("remote", &s.Remote, s.RemoteToLocal, state.Remote)
	b.remote.Handler = side{out: b.remoteToLocal, in: b.localToRemote, sessions: remote, flusher: flusher, notifier: b.notifier, echoes: &b.echoes.remote, otherEchoes: &b.echoes.local}

	b.alive.watchSide("local", b.local, local)
	b.alive.watchSide("remote", b.remote, remote)
	b.alive.watchPipe(report.LocalToRemote, b.localToRemote)
	b.alive.watchPipe(report.RemoteToLocal, b.remoteToLocal)
	b.alive.watchdog.Lock("notifications", b.notifier.tryLock)
	return b
}

// bufferDirectory returns the name of a direction's directory in the directory for buffers.
// The names are part of the format on disk: another name would leave a backlog behind.
func bufferDirectory(direction string) string {
	if direction == report.LocalToRemote {
		return "localToRemote"
	}
	return "remoteToLocal"
}

// connectorSettings returns the settings of a side's connector. rules are the rules of the
// direction whose source is this side. base has the session settings that are not settings of a
// side. onHandshake is called after each TLS handshake.
func connectorSettings(s *config.Side, rules []manifest.Rule, base session.Config, secrets config.Secrets, onHandshake func(server string, h transport.Handshake)) connector.Settings {
	out := connector.Settings{
		Subscriptions: func(identified bool) []session.Subscription {
			if identified {
				return delivery.IdentifiedSubscriptions(rules)
			}
			return delivery.Subscriptions(rules)
		},
		ReconnectOnChange: s.ReconnectOnChange,
		ConnectTimeout:    s.ConnectTimeout,
		Failover:          s.Failover,
		ProbeTimeout:      s.ProbeTimeout,
		ProbeClientID:     s.ProbeClientID,
		DiscardStale:      s.DiscardStale,
	}
	base.Version, base.BridgeFlag, base.ClientID = s.Version, s.BridgeFlag, s.ClientID
	base.CleanStart, base.SessionExpiry = s.CleanSession, s.SessionExpiry
	base.MaximumPacketSize, base.PublishQoS = s.MaximumPacketSize, s.PublishQoS
	base.KeepAlive, base.PingTimeout, base.AckTimeout = s.KeepAlive, s.PingTimeout, s.AckTimeout
	out.Session = identify(&base)
	for i := range s.Servers {
		server := &s.Servers[i]
		tickets := &transport.TLSSessions{Observe: func(h transport.Handshake) { onHandshake(server.Name, h) }}
		out.Servers = append(out.Servers, connector.Server{
			Name:        server.Name,
			URL:         server.URL,
			Connection:  server.Connection(),
			Credentials: config.NewFingerprint(server, secrets).Value,
			Config: func() (session.Config, error) {
				cfg, err := sessionConfig(base, s, server, secrets)
				cfg.Transport.Sessions = tickets
				return cfg, err
			},
		})
	}
	return out
}

// sessionConfig adds a server to the settings of sessions, for the next attempt to connect to
// it, with the current contents of the Secrets.
func sessionConfig(cfg session.Config, s *config.Side, server *config.Server, secrets config.Secrets) (session.Config, error) {
	dial, err := config.Transport(server, secrets)
	if err != nil {
		return session.Config{}, err
	}
	dial.DelayReads = cfg.Transport.DelayReads
	cfg.Transport = dial
	cfg.CredentialsSource = server.Login.Source()
	if cfg.Username, cfg.Password, err = secrets.Login(&server.Login, s.Version); err != nil {
		return session.Config{}, err
	}
	return cfg, nil
}

// update applies the settings of another version to the running bridge. It returns true if the
// bridge must be restarted instead: at present, for each change.
func (*bridge) update(running, next *version) (restart bool) {
	return !config.SameSettings(&running.manifest.Spec, &next.manifest.Spec)
}

// requestSwitches requests the preferred servers of a valid manifest, which may be newer than
// the manifest that the bridge runs.
func (b *bridge) requestSwitches(m *v1alpha1.MQTTBridge) {
	requestSwitch(b.local, m.Spec.Local.PreferredServer, m.Generation)
	requestSwitch(b.remote, m.Spec.Remote.PreferredServer, m.Generation)
}

func requestSwitch(c *connector.Connector, preferred *v1alpha1.PreferredServer, generation int64) {
	var r *connector.Request
	if preferred != nil {
		r = &connector.Request{Server: preferred.Name, Force: ptr.Deref(preferred.Force, false), Generation: generation}
	}
	if err := c.Request(r); err != nil { // the manifest is for another pod, and has other servers
		c.Log.Warn("preferredServer does not name a server of the manifest that the runner runs, so the earlier request stays; the pod that runs the changed manifest applies it", "error", err)
	}
}

// skip replaces run if the sides need not be connected.
func (b *bridge) skip() {
	b.local.Alive.Wait()
	b.remote.Alive.Wait()
}

// run keeps both sides connected until the context ends. It then drains the bridge: it
// accepts no more messages, waits until the destinations have acknowledged the messages
// that it holds, and closes both sessions.
func (b *bridge) run(ctx context.Context) {
	spools, stopSpools := context.WithCancel(context.WithoutCancel(ctx))
	var spooling sync.WaitGroup
	spooling.Go(func() { b.localToRemote.RunSpool(spools) })
	spooling.Go(func() { b.remoteToLocal.RunSpool(spools) })
	defer spooling.Wait() // last, when no more messages arrive
	defer stopSpools()
	connectors, stop := context.WithCancel(context.WithoutCancel(ctx)) // the connectors run until the bridge has drained
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { b.local.Run(connectors, ctx.Done()) })
	running.Go(func() { b.remote.Run(connectors, ctx.Done()) })
	<-ctx.Done()
	b.log.Info("the bridge stops; it waits until the destinations have acknowledged the messages that it holds")
	b.drain(connectors)
	b.notifier.stop()
	b.flusher.Flush()
	stop()
	running.Wait()
}

func (b *bridge) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	var unacked [2]int
	var draining sync.WaitGroup
	draining.Go(func() { unacked[0] = b.localToRemote.Drain(ctx) })
	draining.Go(func() { unacked[1] = b.remoteToLocal.Drain(ctx) })
	draining.Wait()
	if unacked[0]+unacked[1] > 0 {
		b.log.Warn("the bridge stops before the destinations have acknowledged all messages; the sources keep the messages of QoS 1 and 2",
			"localToRemote", unacked[0], "remoteToLocal", unacked[1])
	}
}
