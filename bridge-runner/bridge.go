// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
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
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/tracing"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// drainTimeout is the longest time that a stopping runner waits for acknowledgements. It
// is well below a pod's grace period of 30 seconds.
const drainTimeout = 10 * time.Second

// bridge consists of two connectors and the pipes between them.
type bridge struct {
	*setup
	local, remote                *connector.Connector
	localToRemote, remoteToLocal *delivery.Pipe
	flusher                      *session.Flusher
	// gate is nil if the process is no member of a group.
	gate                          *session.Gate
	notifier                      *notifier
	echoes                        echoDetectors
	localSessions, remoteSessions *sideSessions
	// localTickets and remoteTickets keep the TLS sessions of the servers. The lock of the
	// instance guards them.
	localTickets, remoteTickets ticketBook
	progress                    *progress
	// know is nil if the process is no member of a group.
	know *knowledge
	// localTrace and remoteTrace make the spans of switches.
	localTrace, remoteTrace *tracing.Side
	alive                   *liveness
	state                   *report.State
	log                     *slog.Logger
}

// newBridge makes the parts of a bridge from its settings, and connects them.
func newBridge(v *version, from *setup, state *report.State, log *slog.Logger) *bridge {
	s := v.settings
	flusher := &session.Flusher{}
	b := &bridge{
		setup:         from,
		flusher:       flusher,
		gate:          from.seat.newGate(),
		notifier:      newNotifier(s.Notifications, flusher, log),
		localSessions: &sideSessions{}, remoteSessions: &sideSessions{},
		localTickets: ticketBook{}, remoteTickets: ticketBook{},
		progress: &progress{report: state.SetGeneration},
		alive:    newLiveness(log),
		state:    state,
		log:      log,
	}
	b.traces.Apply(tracingSettings(s))
	b.localToRemote = b.newPipe(report.LocalToRemote, s.LocalToRemote, s)
	b.remoteToLocal = b.newPipe(report.RemoteToLocal, s.RemoteToLocal, s)
	b.localToRemote.SetReverse(b.remoteToLocal)
	b.remoteToLocal.SetReverse(b.localToRemote)
	b.echoes.setRules(s.LocalToRemote, s.RemoteToLocal, s.Loop, time.Now())

	if from.seat != nil {
		b.know = newKnowledge(from.seat)
	}
	b.localTrace = b.traces.Observer(manifest.SideLocal, serverNames(&s.Local), b.know.observer(state.Local, manifest.SideLocal, namedServers(&s.Local)))
	b.remoteTrace = b.traces.Observer(manifest.SideRemote, serverNames(&s.Remote), b.know.observer(state.Remote, manifest.SideRemote, namedServers(&s.Remote)))
	b.local = &connector.Connector{Observer: b.localTrace, Log: log.With("side", manifest.SideLocal), Pacer: from.pacer}
	b.local.Handler = side{out: b.localToRemote, in: b.remoteToLocal, sessions: b.localSessions, flusher: flusher, notifier: b.notifier, echoes: &b.echoes.local, otherEchoes: &b.echoes.remote, name: manifest.SideLocal, seat: from.seat, know: b.know}
	b.remote = &connector.Connector{Observer: b.remoteTrace, Log: log.With("side", manifest.SideRemote), Pacer: from.pacer}
	b.remote.Handler = side{out: b.remoteToLocal, in: b.localToRemote, sessions: b.remoteSessions, flusher: flusher, notifier: b.notifier, echoes: &b.echoes.remote, otherEchoes: &b.echoes.local, name: manifest.SideRemote, seat: from.seat, know: b.know}
	b.connect(v)

	b.alive.watchSide(manifest.SideLocal, b.local, b.localSessions)
	b.alive.watchSide(manifest.SideRemote, b.remote, b.remoteSessions)
	b.alive.watchPipe(report.LocalToRemote, b.localToRemote)
	b.alive.watchPipe(report.RemoteToLocal, b.remoteToLocal)
	b.alive.watchdog.Lock("notifications", b.notifier.tryLock)
	return b
}

// newPipe makes the pipe of a direction.
func (b *bridge) newPipe(direction string, rules []manifest.Rule, s *config.Settings) *delivery.Pipe {
	opts := b.pipeOptions(direction, s)
	opts.Flush = b.flusher.Flush
	disk := diskBytes(s, rules)
	if disk > 0 {
		opts.Disk = &delivery.Disk{
			Dir:           filepath.Join(b.data, bufferDirectory(direction)),
			Bytes:         disk,
			WhenFull:      s.Disk.WhenFull,
			TTL:           s.Disk.TTL,
			OnStateChange: b.state.WatchBacklog(direction, b.log),
		}
	}
	p := delivery.New(rules, b.meter(direction, rules, s), opts)
	b.metrics.Backlog(direction, p.Backlog)
	return p
}

// bufferDirectory returns the name of a direction's directory in the directory for buffers.
// The names are part of the format on disk: another name would leave a backlog behind.
func bufferDirectory(direction string) string {
	if direction == report.LocalToRemote {
		return "localToRemote"
	}
	return "remoteToLocal"
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
	defer b.endSpans()    // last
	defer spooling.Wait() // when no more messages arrive
	defer stopSpools()
	connectors, stop := context.WithCancel(context.WithoutCancel(ctx)) // the connectors run until the bridge has drained
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { b.local.Run(connectors, ctx.Done()) })
	running.Go(func() { b.remote.Run(connectors, ctx.Done()) })
	<-ctx.Done()
	if errors.Is(context.Cause(ctx), errDeactivated) { // another process may be forwarding
		stop()
		running.Wait()
		return
	}
	b.log.Info("the bridge stops; it waits until the destinations have acknowledged the messages that it holds")
	b.drain(connectors)
	b.notifier.stop()
	b.flusher.Flush()
	stop()
	running.Wait()
}

// endSpans ends the spans of the messages that are not delivered, and of an outage that lasts.
func (b *bridge) endSpans() {
	b.localToRemote.EndSpans()
	b.remoteToLocal.EndSpans()
	b.localTrace.End()
	b.remoteTrace.End()
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
