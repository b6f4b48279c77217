// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Types of conditions.
const (
	// ConditionReady is True while the bridge forwards: the reporting pod runs and
	// a server is connected on both sides.
	ConditionReady = "Ready"
	// ConditionLocalConnected is True while a local server is connected.
	ConditionLocalConnected = "LocalConnected"
	// ConditionRemoteConnected is True while a remote server is connected. Its
	// message names every server that failed, and why.
	ConditionRemoteConnected = "RemoteConnected"
	// ConditionDegraded is True while a side is on a backup, the buffer on disk is full or
	// has failed, the server in use has a shortfall, no server takes some messages, or
	// messages go round.
	ConditionDegraded = "Degraded"
	// ConditionReconciling is kstatus's: present and True while the children are
	// not yet as the spec wants them.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is kstatus's: present and True while the spec cannot be
	// brought about without someone's help.
	ConditionStalled = "Stalled"
)

// Reasons of conditions, besides the reasons of servers below.
const (
	ReasonForwarding       = "Forwarding"       // Ready: both sides are connected.
	ReasonConnected        = "Connected"        // LocalConnected, RemoteConnected.
	ReasonConnecting       = "Connecting"       // no server has been reached yet.
	ReasonActiveOnBackup   = "ActiveOnBackup"   // Degraded.
	ReasonActiveOnPrimary  = "ActiveOnPrimary"  // not Degraded.
	ReasonNotConnected     = "NotConnected"     // Ready, Degraded: a side has no server.
	ReasonSuspended        = "Suspended"        // spec.suspend.
	ReasonRunnerNotRunning = "RunnerNotRunning" // no runner pod, or it does not run.
	ReasonProgressing      = "Progressing"      // Reconciling.
	ReasonInvalidSpec      = "InvalidSpec"      // Stalled: what the schema cannot tell.
	ReasonApplyFailed      = "ApplyFailed"      // Stalled: the API server refused a child.
	ReasonPodFailing       = "PodFailing"       // Stalled: the runner's container does not start.
	ReasonVolumeMissing    = "VolumeMissing"    // Stalled: nothing makes a volume for the buffer on disk.
	ReasonBufferFull       = "BufferFull"       // Degraded: the buffer on disk has reached its size.
	ReasonMessageLoop      = "MessageLoop"      // Degraded: messages go round through bridges between the same servers.
	ReasonBufferFailed     = "BufferFailed"     // Degraded: the buffer on disk cannot be written, or a part of it cannot be read.

	// ReasonQoSLowered: Degraded: a server grants a lower QoS to a subscription than asked
	// for (section 3.9.3), or takes messages at a lower QoS only (MQTT 5 section 3.2.2.3.4).
	ReasonQoSLowered = "QoSLowered"
	// ReasonSessionExpiryLowered: Degraded: a server keeps the session for a shorter time
	// without a connection than asked for (MQTT 5 section 3.2.2.3.2).
	ReasonSessionExpiryLowered = "SessionExpiryLowered"
	// ReasonMessagesUnforwardable: Degraded, no server takes some messages.
	ReasonMessagesUnforwardable = "MessagesUnforwardable"
)

// Reasons why no server takes a message, in status.unforwardable.
const (
	// ReasonRefused: the server refuses it by a reason code (MQTT 5 section 3.4.2.1).
	ReasonRefused = "Refused"
	// ReasonTooLarge: it exceeds the server's maximum packet size (section 3.2.2.3.6).
	ReasonTooLarge = "TooLarge"
	// ReasonEndsSession: the server ends the session at it.
	ReasonEndsSession = "EndsSession"
)

// Reasons why a server failed. They stand in servers, failovers, metrics and
// in LocalConnected and RemoteConnected.
const (
	// ReasonAuthenticationFailed: CONNACK 4 or 5 (MQTT 3.1.1 section 3.2.2.3), 0x86, 0x87,
	// 0x8A or 0x8C (MQTT 5 section 3.2.2.2).
	ReasonAuthenticationFailed = "AuthenticationFailed"
	// ReasonClientIDRejected: CONNACK 2 or 0x85.
	ReasonClientIDRejected = "ClientIDRejected"
	// ReasonProtocolVersionRefused: CONNACK 1 or 0x84.
	ReasonProtocolVersionRefused = "ProtocolVersionRefused"
	// ReasonServerUnavailable: CONNACK 3, 0x88, 0x89, 0x9C, 0x9D or 0x9F, or a
	// DISCONNECT that says so.
	ReasonServerUnavailable = "ServerUnavailable"
	// ReasonSubscriptionRefused: SUBACK 0x80 (section 3.9.3).
	ReasonSubscriptionRefused = "SubscriptionRefused"
	// ReasonReferenceMissing: a Secret or ConfigMap that the spec names, or a key
	// of it, is missing or cannot be used.
	ReasonReferenceMissing = "ReferenceMissing"
	// ReasonTLSFailed: the TLS handshake failed.
	ReasonTLSFailed = "TLSFailed"
	// ReasonProxyFailed: the proxy cannot be reached, or refuses.
	ReasonProxyFailed = "ProxyFailed"
	// ReasonWebSocketRefused: the server does not upgrade to WebSocket.
	ReasonWebSocketRefused = "WebSocketRefused"
	// ReasonNameNotResolved: the host's name has no address.
	ReasonNameNotResolved = "NameNotResolved"
	// ReasonConnectionRefused: nothing listens there.
	ReasonConnectionRefused = "ConnectionRefused"
	// ReasonHostUnreachable: no route to the host.
	ReasonHostUnreachable = "HostUnreachable"
	// ReasonConnectTimeout: no connection within connectTimeoutSeconds.
	ReasonConnectTimeout = "ConnectTimeout"
	// ReasonPingTimeout: no PINGRESP within pingTimeoutSeconds.
	ReasonPingTimeout = "PingTimeout"
	// ReasonAckTimeout: no acknowledgement within ackTimeoutSeconds.
	ReasonAckTimeout = "AckTimeout"
	// ReasonConnectionClosed: the server or the network ended the connection.
	ReasonConnectionClosed = "ConnectionClosed"
	// ReasonProtocolError: what the server sent is not the MQTT that is spoken.
	ReasonProtocolError = "ProtocolError"
	// ReasonConnectRefused: CONNACK with another reason code (MQTT 5 section 3.2.2.2).
	ReasonConnectRefused = "ConnectRefused"
	// ReasonDisconnected: the server sent DISCONNECT (MQTT 5 section 3.14).
	ReasonDisconnected = "Disconnected"
	// ReasonSessionTakenOver: another client has the client identifier.
	ReasonSessionTakenOver = "SessionTakenOver"
	// ReasonQuotaExceeded: the server allows no more connections or messages.
	ReasonQuotaExceeded = "QuotaExceeded"
	// ReasonEchoNotPrevented: the server sends the bridge's own messages back, and by the
	// rules messages would go round.
	ReasonEchoNotPrevented = "EchoNotPrevented"
	// ReasonPublishRefused: the server refuses a message (MQTT 5 section 3.4.2.1).
	ReasonPublishRefused = "PublishRefused"
)

// Reasons of switches from servers that had not failed.
const (
	// ReasonFailedBack: a better server had proved stable.
	ReasonFailedBack = "FailedBack"
	// ReasonSwitchRequested: by annotation.
	ReasonSwitchRequested = "SwitchRequested"
)

// Annotations of a bridge that name the server of a side that is wanted: a server's
// name, behind which may stand the word force, and further words, which only make the
// request another one than before.
const (
	AnnotationSwitchLocal  = "mqttbridge.io/switch-local"
	AnnotationSwitchRemote = "mqttbridge.io/switch-remote"
)

// Reasons of events, sent by the operator after the status that they describe
// was written.
const (
	EventFailedOver     = "FailedOver"
	EventFailedBack     = "FailedBack"
	EventSwitched       = "Switched"
	EventSwitchRefused  = "SwitchRefused"
	EventAllServersDown = "AllServersDown"
	EventRecovered      = "Recovered"

	EventMessageUnforwardable = "MessageUnforwardable"
)
