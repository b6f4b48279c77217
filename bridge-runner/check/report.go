// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import "time"

// Result is the result of a check.
type Result string

// The results, from good to bad.
const (
	// Good means that every manifest is valid, and every server that was checked can be used.
	Good Result = "Good"
	// ServerUnusable means that every manifest is valid, but a server cannot be used.
	ServerUnusable Result = "ServerUnusable"
	// Invalid means that a manifest is invalid.
	Invalid Result = "Invalid"
)

// Report is the result of the check of some files.
type Report struct {
	Result  Result   `json:"result"`
	Bridges []Bridge `json:"bridges"`
}

// Bridge is the result of the check of one manifest.
type Bridge struct {
	// File is the name of the file, and Line the first line of the manifest in it.
	File      string `json:"file"`
	Line      int    `json:"line"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Valid     bool   `json:"valid"`
	// Errors are the reasons why the manifest is invalid.
	Errors []Error `json:"errors,omitempty"`
	// Servers are empty if the servers were not checked.
	Servers []Server `json:"servers,omitempty"`
}

// Error is a reason why a manifest is invalid.
type Error struct {
	// Line is the line of the field in the file. It is 0 if it is unknown.
	Line int `json:"line,omitempty"`
	// Field is the path of the field. It is empty if the file is not YAML.
	Field string `json:"field,omitempty"`
	// Message has the value and the remedy.
	Message string `json:"message"`
}

// Server is the result of the check of one server.
type Server struct {
	// Side is local or remote.
	Side string `json:"side"`
	Name string `json:"name"`
	// URL is in its public form.
	URL string `json:"url"`
	// Usable is whether the bridge could use the server, as far as the check could find out. If it
	// is false, Reason and Message say why; Reason is a reason of the status of bridges.
	Usable  bool   `json:"usable"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Address is the network address of the server, or of the proxy if there is one. It is empty if
	// no connection was made.
	Address string `json:"address,omitempty"`
	// ClientID is the client identifier of the check. It is empty if the check did not connect.
	ClientID string `json:"clientID,omitempty"`
	// ProtocolVersion is the version of MQTT.
	ProtocolVersion string `json:"protocolVersion,omitempty"`
	TLS             *TLS   `json:"tls,omitempty"`
	// Connack is the answer to CONNECT. It is nil if the server has sent none.
	Connack *Connack `json:"connack,omitempty"`
	// Publish is the result of Options.Publish.
	Publish *Publish `json:"publish,omitempty"`
	// Remarks describe limitations that the bridge would work with.
	Remarks []string `json:"remarks,omitempty"`
}

// TLS describes the TLS connection to a server.
type TLS struct {
	Version string `json:"version"`
	Subject string `json:"subject"`
	Issuer  string `json:"issuer"`
	// Expires is when the server's certificate expires.
	Expires time.Time `json:"expires"`
}

// Connack is the answer of a server to CONNECT, with the limits that apply to the connection. With
// MQTT 3.1.1, a server cannot announce limits; Code and SessionPresent alone are valid then.
type Connack struct {
	Code           byte `json:"code"`
	SessionPresent bool `json:"sessionPresent"`
	// Milliseconds is the time from the start of the attempt to the answer.
	Milliseconds int64   `json:"milliseconds"`
	Limits       *Limits `json:"limits,omitempty"`
}

// Limits are the limits that a server of MQTT 5 announces, with the defaults of the protocol (MQTT 5
// section 3.2.2.3).
type Limits struct {
	ReceiveMaximum uint16 `json:"receiveMaximum"`
	// MaximumPacketSize is in bytes. 0 means no limit.
	MaximumPacketSize                uint32 `json:"maximumPacketSize"`
	MaximumQoS                       byte   `json:"maximumQoS"`
	RetainAvailable                  bool   `json:"retainAvailable"`
	WildcardSubscriptionAvailable    bool   `json:"wildcardSubscriptionAvailable"`
	SubscriptionIdentifiersAvailable bool   `json:"subscriptionIdentifiersAvailable"`
	SharedSubscriptionAvailable      bool   `json:"sharedSubscriptionAvailable"`
	TopicAliasMaximum                uint16 `json:"topicAliasMaximum"`
	// ServerKeepAliveSeconds is nil if the server accepts the keep alive of the bridge.
	ServerKeepAliveSeconds *uint16 `json:"serverKeepAliveSeconds,omitempty"`
	// AssignedClientID is set if the server replaces the client identifier.
	AssignedClientID string `json:"assignedClientID,omitempty"`
}

// Publish is the result of a message that was published.
type Publish struct {
	Topic string `json:"topic"`
	// Acknowledged is whether the server has acknowledged the message.
	Acknowledged bool `json:"acknowledged"`
	// Code is the reason code of MQTT 5.
	Code byte `json:"code"`
}
