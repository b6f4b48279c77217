// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"slices"
	"strings"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// Server is one server of a side. A server of a changed list is the same server as before if Name and
// URL are the same, or if only Name has changed.
type Server struct {
	// Name and URL identify the server in logs. Requests use the name. The URL is in its
	// public form.
	Name, URL string
	// Connection identifies the settings of a connection to the server, without the credentials:
	// if it changes, the connector reconnects to the server in use.
	Connection string
	// Config returns the current settings of the connection. The connector calls it for
	// each attempt and each probe, so that changed credentials apply. It returns an error
	// if a reference is missing.
	Config func() (session.Config, error)
	// Credentials returns a fingerprint of the user names, passwords, certificates, keys and
	// other values that Config reads: it changes if and only if one of them does. It returns an
	// error if a value cannot be read. The connector calls it once per second if
	// Settings.ReconnectOnChange is set, and in one goroutine only. If it is nil, no change is
	// found.
	Credentials func() (string, error)
}

// same reports whether both have the same name and URL.
func (s *Server) same(other Server) bool { return s.Name == other.Name && s.URL == other.URL }

// renamed reports whether both are the same server if their names differ. The public form of URLs
// hides queries, but Connection does not.
func (s *Server) renamed(other *Server) bool {
	return s.URL == other.URL && s.Connection == other.Connection
}

// Settings are the settings of a connector. Its owner does not change them after [Connector.Apply].
type Settings struct {
	// Servers are in order of preference. There is at least one.
	Servers []Server
	// Session identifies the settings that all sessions of the side have in common and that
	// CONNECT carries. Its type is comparable. If it changes, the connector reconnects to the
	// server in use.
	Session any
	// ClientID is the client identifier of the sessions. If it changes, the connector transfers the bridge
	// to the session of the new identifier.
	ClientID string
	// Subscriptions returns the subscriptions to make on a server. identified is true if
	// the server supports subscription identifiers.
	Subscriptions func(identified bool) []session.Subscription
	// PublishQoS is the highest QoS of the messages to publish, 0 to 2. A server that accepts only a
	// lower QoS has a shortfall.
	PublishQoS byte
	// ReconnectOnChange makes the connector reconnect when the credentials of the server in use
	// change. If it is false, changed credentials apply to the next connection.
	ReconnectOnChange bool
	// ConnectTimeout bounds an attempt until CONNACK. After that it bounds the time for
	// which the server may be silent before it has answered SUBSCRIBE.
	ConnectTimeout time.Duration
	// Failover decides in which order and when servers are tried. Its field Servers is
	// ignored.
	Failover failover.Config
	// ProbeTimeout bounds a probe.
	ProbeTimeout time.Duration
	// ProbeClientID is the client identifier of probes.
	ProbeClientID string
	// DiscardStale makes a server drop the stale session that it holds when the bridge
	// returns to it from another server.
	DiscardStale bool
	// InEffect is called once when the connector works with these settings, and the session in use,
	// if there is one, has the subscriptions and the settings of its connection. It is not called
	// for settings that others replace before. If the server in use was removed, it is called after
	// the switch or its first failure. It may be nil.
	InEffect func()
}

// index returns the index of the server with this name, or noServer.
func (s *Settings) index(name string) int {
	return slices.IndexFunc(s.Servers, func(server Server) bool { return server.Name == name })
}

// names lists the names of the servers.
func (s *Settings) names() string {
	names := make([]string, len(s.Servers))
	for i := range s.Servers {
		names[i] = s.Servers[i].Name
	}
	return strings.Join(names, ", ")
}

// policy returns the settings of the machine.
func (s *Settings) policy() failover.Config {
	policy := s.Failover
	policy.Servers = len(s.Servers)
	return policy
}
