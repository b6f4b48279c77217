// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/tracing"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// pipeOptions returns the settings of the pipe of a direction that [delivery.Pipe.Update] can change.
func (b *bridge) pipeOptions(direction string, s *config.Settings) delivery.Options {
	return delivery.Options{
		Tracer:        b.traces.Direction(direction),
		MemoryBytes:   s.MemoryBytes,
		BufferQoS0:    s.BufferQoS0,
		Unforwardable: delivery.Unforwardable{Block: s.BlockUnforwardable, DeadLetter: s.DeadLetterTopic},
		Drain:         delivery.DrainRate{Messages: s.DrainMessages, Bytes: s.DrainBytes},
	}
}

// tracingSettings returns the settings of tracing, or nil if it is off.
func tracingSettings(s *config.Settings) *tracing.Settings { return (*tracing.Settings)(s.Tracing) }

// serverNames returns the names of the servers of a side.
func serverNames(s *config.Side) []string {
	names := make([]string, len(s.Servers))
	for i := range s.Servers {
		names[i] = s.Servers[i].Name
	}
	return names
}

// diskBytes returns the size of the buffer on disk of a direction with these rules, in bytes. It
// is 0 if the direction has none.
func diskBytes(s *config.Settings, rules []manifest.Rule) int64 {
	if len(rules) == 0 {
		return 0
	}
	return s.Disk.Bytes
}

// meter returns the meter of a direction with these rules and settings.
func (b *bridge) meter(direction string, rules []manifest.Rule, s *config.Settings) delivery.Meter {
	b.metrics.SetCapacity(direction, int64(s.MemoryBytes), diskBytes(s, rules))
	return b.metrics.Meter(direction, rules, b.log)
}

// connect gives the connectors the settings of a version, and makes them report its generation
// when these are in effect.
func (b *bridge) connect(v *version) {
	s, inEffect := v.settings, b.progress.begin(v.manifest.Generation)
	base := session.Config{
		Transport: transport.Config{DelayReads: b.delayReads},
		Window:    s.InflightWindow, QoS2Window: s.QoS2Window, Will: b.notifier.will(), RequireNoEcho: s.Loop, Flusher: b.flusher, Gate: b.gate,
	}
	apply := func(c *connector.Connector, side *config.Side, rules []manifest.Rule, tickets ticketBook, observer *report.Side, name string) {
		base := base
		base.Fault = b.metrics.Faults(name, c.Log)
		settings := connectorSettings(side, rules, base, b.secrets, tickets.of(side, observer))
		settings.InEffect = inEffect
		c.Apply(settings)
	}
	apply(b.local, &s.Local, s.LocalToRemote, b.localTickets, b.state.Local, manifest.SideLocal)
	apply(b.remote, &s.Remote, s.RemoteToLocal, b.remoteTickets, b.state.Remote, manifest.SideRemote)
}

// ticketBook has the TLS sessions of the servers of a side, so that a change of the settings does
// not make the next handshake a full one.
type ticketBook map[ticketKey]*transport.TLSSessions

// ticketKey identifies a server of a changed list. A renamed server has new TLS sessions, because
// Observe has its name.
type ticketKey struct{ name, url string }

// of returns the TLS sessions of the servers of a side, in their order, and forgets the TLS sessions of
// other servers.
func (t ticketBook) of(s *config.Side, observer *report.Side) []*transport.TLSSessions {
	wanted := map[ticketKey]bool{}
	out := make([]*transport.TLSSessions, len(s.Servers))
	for i := range s.Servers {
		name := s.Servers[i].Name
		key := ticketKey{name, s.Servers[i].URL}
		if t[key] == nil {
			t[key] = &transport.TLSSessions{Observe: func(h transport.Handshake) { observer.Handshake(name, h) }}
		}
		out[i], wanted[key] = t[key], true
	}
	for key := range t {
		if !wanted[key] {
			delete(t, key)
		}
	}
	return out
}

// connectorSettings returns the settings of a side's connector. rules are the rules of the
// direction whose source is this side. base has the session settings that are not settings of a
// side. tickets are the TLS sessions of the servers.
func connectorSettings(s *config.Side, rules []manifest.Rule, base session.Config, secrets config.Secrets, tickets []*transport.TLSSessions) connector.Settings {
	out := connector.Settings{
		Subscriptions: func(identified bool) []session.Subscription {
			if identified {
				return delivery.IdentifiedSubscriptions(rules)
			}
			return delivery.Subscriptions(rules)
		},
		PublishQoS:        s.PublishQoS,
		ReconnectOnChange: s.ReconnectOnChange,
		ConnectTimeout:    s.ConnectTimeout,
		Failover:          s.Failover,
		ProbeTimeout:      s.ProbeTimeout,
		ClientID:          s.ClientID,
		ProbeClientID:     s.ProbeClientID,
		DiscardStale:      s.DiscardStale,
	}
	base = s.Session(base)
	out.Session = identify(&base)
	for i := range s.Servers {
		server := &s.Servers[i]
		out.Servers = append(out.Servers, connector.Server{
			Name:        server.Name,
			URL:         server.URL,
			Connection:  server.Connection(),
			Credentials: config.NewFingerprint(server, secrets).Value,
			Config: func() (session.Config, error) {
				cfg, err := config.ServerSession(base, s, server, secrets)
				cfg.Server, cfg.Transport.Sessions = server.Name, tickets[i]
				return cfg, err
			},
		})
	}
	return out
}
