// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/diagnosis"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

const (
	bridgeID = "bridge"
	probeID  = "probe"
)

// side is a connector and its scripted servers, which are named a, b and so on. Its
// methods are also the connector's Handler and Observer.
type side struct {
	*Connector
	Settings // which run applies
	t        *testing.T
	servers  []*script.Server
	events   chan string // the calls of Handler and Observer, as text
	drain    chan struct{}
	stop     context.CancelFunc
	stopped  chan struct{}

	mu   sync.Mutex
	used []*session.Session
}

// newSide returns a side whose connector neither probes nor fails back. The test may
// change it before it calls run.
func newSide(t *testing.T, servers int) *side {
	x := &side{t: t, events: make(chan string, 1000), drain: make(chan struct{}), stopped: make(chan struct{})}
	x.Connector = &Connector{Handler: x, Observer: x, Log: slog.New(slog.DiscardHandler)}
	x.Settings = Settings{
		Subscriptions:  func(bool) []session.Subscription { return nil },
		ConnectTimeout: script.Timeout,
		ProbeTimeout:   script.Timeout,
		ClientID:       bridgeID,
		ProbeClientID:  probeID,
		Failover:       failover.Config{RetryInitial: time.Second, RetryMax: time.Minute, Stable: time.Minute},
	}
	for range servers {
		x.Servers = append(x.Servers, x.addServer())
	}
	return x
}

// addServer starts another scripted server. It is not in the list yet.
func (x *side) addServer() Server {
	server := script.Listen(x.t, byte(packet.V5))
	x.servers = append(x.servers, server)
	name := string(rune('a' + len(x.servers) - 1))
	return Server{Name: name, URL: "mqtt://" + name, Config: func() (session.Config, error) {
		return session.Config{
			Transport: transport.Config{HostPort: server.Addr()}, Version: packet.V5, ClientID: bridgeID,
			KeepAlive: time.Minute, PingTimeout: time.Minute, AckTimeout: time.Minute, Window: 10,
		}, nil
	}}
}

// change applies changed settings. The slices of the settings in effect stay as they are.
func (x *side) change(change func(*Settings)) {
	x.Servers = slices.Clone(x.Servers)
	change(&x.Settings)
	x.Apply(x.Settings)
}

// run runs the connector until the test ends or calls stop.
func (x *side) run() {
	x.Apply(x.Settings)
	ctx, cancel := context.WithCancel(context.Background())
	x.stop = cancel
	go func() {
		defer close(x.stopped)
		x.Run(ctx, x.drain)
	}()
	x.t.Cleanup(func() {
		cancel()
		<-x.stopped
	})
}

// accept accepts a connection to a server and reads its CONNECT, which must have the
// given client identifier.
func (x *side) accept(server int, clientID string) *script.Conn {
	x.t.Helper()
	c := x.servers[server].Accept()
	if p := c.Next(); p.Connect == nil || p.Connect.ClientID != clientID {
		x.t.Fatalf("server %d gets %s, want CONNECT of %s", server, p, clientID)
	}
	return c
}

// connect accepts a connection of the bridge to a server and answers its CONNECT.
func (x *side) connect(server int) *script.Conn {
	x.t.Helper()
	c := x.accept(server, bridgeID)
	c.Send(script.Connack(false, nil))
	return c
}

// want waits for these events in this order. It skips other events.
func (x *side) want(events ...string) {
	x.t.Helper()
	timeout := time.After(script.Timeout)
	for _, want := range events {
		for got := ""; got != want; {
			select {
			case got = <-x.events:
			case <-timeout:
				x.t.Fatalf("missing event: %s", want)
			}
		}
	}
}

func (x *side) record(format string, args ...any) { x.events <- fmt.Sprintf(format, args...) }

// NewSession fails if another session that has not ended has the same state.
func (x *side) NewSession(s *session.Session) session.Handler {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, other := range x.used {
		select {
		case <-other.Done():
		default:
			if other.State() == s.State() {
				x.t.Error("two sessions use the same state at the same time")
			}
		}
	}
	x.used = append(x.used, s)
	return ignore{}
}

func (x *side) Up(*session.Session)   { x.record("up") }
func (x *side) Down(*session.Session) { x.record("down") }
func (x *side) Pause(context.Context, *session.Session) (inflight, unacked int) {
	x.record("paused")
	return 0, 0
}
func (x *side) Resume(*session.Session)       { x.record("resumed") }
func (x *side) Closing(*session.Session)      { x.record("closing") }
func (x *side) Replace(_, _ *session.Session) { x.record("replaced") }

func (x *side) ServersChanged(servers []Server, kept []int, _ time.Time) {
	names := make([]string, len(servers))
	for i := range servers {
		names[i] = servers[i].Name
	}
	x.record("servers %s %v", strings.Join(names, ""), kept)
}

func (x *side) Connected(server int, _ time.Time) { x.record("connected %d", server) }

func (x *side) Lost(server int, _ *diagnosis.Problem, _ time.Duration, _ time.Time) {
	x.record("lost %d", server)
}

func (x *side) Failed(server int, _ *diagnosis.Problem, _ time.Time) {
	x.record("failed %d", server)
}

func (x *side) Probed(server int, err *diagnosis.Problem, _ time.Time) {
	x.record("probed %d: %v", server, err == nil)
}
func (x *side) Switched(server int, _ Switch, _ time.Time) { x.record("switched %d", server) }
func (x *side) ShortfallsFound(server int, shortfalls []diagnosis.Problem) {
	if len(shortfalls) == 0 {
		x.record("no shortfall %d", server)
	}
	for _, s := range shortfalls {
		x.record("short %d: %s", server, s.Reason)
	}
}

func (x *side) ClientIDUsed(clientID string) { x.record("uses %s", clientID) }

func (x *side) Requested(r *v1alpha1.RequestedSwitch) {
	switch {
	case r == nil:
		x.record("no request")
	case r.Generation != 0:
		x.record("%s in %d: %s", r.Server, r.Generation, r.State)
	default:
		x.record("%s: %s", r.Server, r.State)
	}
}

// request requests a server without force, and force with force.
func (x *side) request(server string) { x.mustRequest(&Request{Server: server}) }
func (x *side) force(server string)   { x.mustRequest(&Request{Server: server, Force: true}) }

func (x *side) mustRequest(r *Request) {
	x.t.Helper()
	if err := x.Request(r); err != nil {
		x.t.Fatal(err)
	}
}

// ignore is a session.Handler that does nothing.
type ignore struct{}

func (ignore) Received(*session.Inbound)                        {}
func (ignore) Redelivered(*session.Inbound)                     {}
func (ignore) Acknowledged(*session.Outgoing, *session.Refusal) {}
func (ignore) Ready()                                           {}
