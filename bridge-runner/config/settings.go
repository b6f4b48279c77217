// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"log/slog"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// Settings are the settings of a bridge, with all defaults. They name Secrets and do not hold
// their values.
type Settings struct {
	Local, Remote Side
	// LocalToRemote and RemoteToLocal are the rules of the two directions.
	LocalToRemote, RemoteToLocal []manifest.Rule
	// Loop is true if the rules form a loop when servers send the bridge's own messages back.
	Loop bool
	// InflightWindow is the largest number of QoS 1 and 2 messages in flight to a server, from
	// 1 to 65535.
	InflightWindow int
	// QoS2Window is the largest number of QoS 2 messages in flight to a server of MQTT 3.1.1, from
	// 1 to 65535.
	QoS2Window int
	// BufferQoS0 is true if QoS 0 messages are kept while the destination is down.
	BufferQoS0 bool
	// MemoryBytes bounds the buffer in memory of each direction, in bytes.
	MemoryBytes int
	// Disk is the buffer on disk of each direction.
	Disk Disk
	// DrainMessages and DrainBytes limit how fast a backlog is sent, per second. 0 means no
	// limit.
	DrainMessages int
	DrainBytes    int64
	// BlockUnforwardable is true if an unforwardable message blocks its direction.
	BlockUnforwardable bool
	// DeadLetterTopic is the topic of dead letters. It is empty if there are none.
	DeadLetterTopic string
	Notifications   Notifications
	// Tracing is nil if tracing is off.
	Tracing *Tracing
	Log     Log
}

// Log are the settings of the log.
type Log struct {
	Level slog.Level
	// JSON is true if each line is an object of JSON.
	JSON bool
}

// Tracing are the settings of spans.
type Tracing struct {
	// Endpoint is the base URL of the receiver. It is empty if the environment names it, or the default
	// applies.
	Endpoint string
	// PerMillion is the number of messages without a trace context that are sampled, per million.
	PerMillion uint32
	// ByEnvironment is true if the sampler of the environment decides in place of PerMillion.
	ByEnvironment bool
	// Topics is true if spans contain the topics of messages.
	Topics bool
}

// Disk is the buffer on disk of one direction.
type Disk struct {
	// Bytes is the largest size of the buffer, in bytes. 0 means that there is no buffer on
	// disk; the other fields are then not valid.
	Bytes    int64
	WhenFull v1alpha1.WhenFull
	// TTL is how long a message may wait. 0 means no limit.
	TTL time.Duration
}

// Notifications are the settings of notifications.
type Notifications struct {
	// Topic is empty if there are no notifications.
	Topic string
	// QoS is 0 or 1.
	QoS byte
}

// Side holds the settings of one side.
type Side struct {
	// Servers are in order of preference.
	Servers []Server
	Version packet.Version
	// BridgeFlag is true if the bridge sets the bridge flag in MQTT 3.1.1.
	BridgeFlag bool
	// ClientID and ProbeClientID are the client identifiers of sessions and of probes.
	ClientID, ProbeClientID string
	// CleanSession is true if servers delete the session when the connection ends.
	CleanSession bool
	// ReconnectOnChange is true if the bridge reconnects when the credentials, the client certificate
	// or the CA of the server in use change.
	ReconnectOnChange bool
	// DiscardStale is true if the bridge discards a stale session.
	DiscardStale bool
	// SessionExpiry is the time for which a server of MQTT 5 keeps the session, in seconds.
	// 4294967295 means no limit.
	SessionExpiry uint32
	// MaximumPacketSize is the size of the largest packet that is accepted, in bytes.
	MaximumPacketSize int
	// PublishQoS is the highest QoS of the messages that the rules publish on this side.
	PublishQoS byte

	KeepAlive, ConnectTimeout, PingTimeout, AckTimeout, ProbeTimeout time.Duration

	// Failover has the number of servers 0; the connector sets it.
	Failover failover.Config
}

// Server holds the settings of one server. Settings of the side that the server does not
// override are included.
type Server struct {
	Name string
	// URL is in its public form.
	URL     string
	Address manifest.Address
	// Login is the source of user name and password. It is zero if the bridge connects without
	// them.
	Login Login
	// TLS is valid if Address.TLS is true.
	TLS TLS
	// Proxy is the proxy to connect through.
	Proxy Proxy
	// Headers are added to the WebSocket request. The list is empty without WebSocket.
	Headers []Header
	// Query is the key with the query of the WebSocket request. It is zero if there is none.
	Query manifest.Reference
}

// TLS holds the TLS settings of a server.
type TLS struct {
	// ServerName is the name that the server's certificate must contain.
	ServerName string
	ALPN       []string
	// CA is the reference to the CA certificates. It is zero if the system's CA certificates
	// apply.
	CA manifest.Reference
	// Certificate and Key are the references to the client certificate and its key. Both are
	// zero if there is none.
	Certificate, Key manifest.Reference
}

// Proxy is a proxy.
type Proxy struct {
	// Scheme is socks5 or http. It is empty if there is no proxy.
	Scheme   string
	HostPort string
	// Login is the source of user name and password. It is zero if the proxy requires no login.
	Login Login
}

// Login is the source of a user name and a password. The zero value means none.
type Login struct {
	// Username is the user name, if UsernameFrom is zero.
	Username string
	// UsernameFrom and Password are the keys that hold the user name and the password. Each is
	// zero if there is none.
	UsernameFrom, Password manifest.Reference
}

// Header is a header field of the WebSocket request.
type Header struct {
	Name string
	// Value is the value, if From is zero.
	Value string
	// From is the key that holds the value.
	From manifest.Reference
}
