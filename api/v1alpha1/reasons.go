// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Types of conditions.
const (
	// ConditionReady is True while the bridge forwards: the reporting pod runs, and a
	// server is connected on both sides. Its observedGeneration is the generation that the
	// pod runs. It is absent while the bridge is suspended, because tools that wait for it
	// would wait until the suspension ends.
	ConditionReady = "Ready"
	// ConditionLocalConnected is True while a local server is connected.
	ConditionLocalConnected = "LocalConnected"
	// ConditionRemoteConnected is True while a remote server is connected. Its message
	// names every failed server and the cause of its failure.
	ConditionRemoteConnected = "RemoteConnected"
	// ConditionDegraded is True while a side is on a backup or has a failed standby server, the
	// second of two runners is not ready to take over, the buffer on disk is full or has failed, the server in use has a shortfall, no server
	// accepts some messages, messages loop through several bridges, or another bridge has the
	// same client identifier.
	ConditionDegraded = "Degraded"
	// ConditionReconciling is a condition of kstatus: present and True while the children
	// do not yet match the spec, or no runner runs its generation yet.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is a condition of kstatus: present and True while the operator
	// cannot apply the spec unless a user acts.
	ConditionStalled = "Stalled"
	// ConditionSuspended is present and True while spec.suspend is true and no pod is left.
	ConditionSuspended = "Suspended"
	// ConditionUpdateScheduled is present and True while a roll-out waits until an update
	// window of the bridge opens. It does not affect Ready.
	ConditionUpdateScheduled = "UpdateScheduled"
)

// Reasons of conditions. LocalConnected and RemoteConnected also use the reasons of server
// failures below.
const (
	ReasonForwarding       = "Forwarding"       // Ready: both sides are connected.
	ReasonConnected        = "Connected"        // LocalConnected, RemoteConnected: a server is connected.
	ReasonConnecting       = "Connecting"       // LocalConnected, RemoteConnected: no server has been reached yet.
	ReasonActiveOnBackup   = "ActiveOnBackup"   // Degraded: a side is on a backup.
	ReasonActiveOnPrimary  = "ActiveOnPrimary"  // Degraded is False: both sides are on their primary server.
	ReasonNotConnected     = "NotConnected"     // Ready, Degraded: a side has no connected server.
	ReasonStandbyFailed    = "StandbyFailed"    // Degraded: a server that is not in use has failed.
	ReasonNoStandby        = "NoStandby"        // Degraded: the bridge has two runners, and none is ready to take over.
	ReasonSuspended        = "Suspended"        // spec.suspend is true, and no pod is left.
	ReasonStandby          = "Standby"          // Ready: the runner is the standby of another runner, which forwards.
	ReasonDraining         = "Draining"         // Ready: spec.suspend is true, and the runner stops.
	ReasonDeleting         = "Deleting"         // Ready: the bridge is being deleted, and deletionPolicy is EndSessions or Drain.
	ReasonRunnerNotRunning = "RunnerNotRunning" // no runner pod exists, or it does not run, or it stops.
	ReasonOutsideWindow    = "OutsideWindow"    // UpdateScheduled: no update window is open.
	ReasonNodeLost         = "NodeLost"         // Ready is Unknown: the node of the runner's pod does not answer.
	ReasonProgressing      = "Progressing"      // Reconciling: the children do not yet match the spec.
	ReasonInvalidSpec      = "InvalidSpec"      // Stalled: an error that the schema cannot detect.
	ReasonNotAllowed       = "NotAllowed"       // Stalled: the operator does not permit a value of the spec.
	ReasonManifestRefused  = "ManifestRefused"  // Stalled: the runner cannot apply the latest generation.
	ReasonApplyFailed      = "ApplyFailed"      // Stalled: the API server refused a child. Reconciling: it could not apply a child.
	ReasonPodFailing       = "PodFailing"       // Stalled: the runner's container does not start, or ends again and again.
	ReasonUnschedulable    = "Unschedulable"    // Stalled: the scheduler has found no node for the pod for minutes.
	ReasonRolloutTimedOut  = "RolloutTimedOut"  // Stalled: the Deployment has exceeded its progress deadline.
	ReasonVolumeMissing    = "VolumeMissing"    // Stalled: no volume can be provided for the buffer on disk.
	ReasonBufferFull       = "BufferFull"       // Degraded: the buffer on disk has reached its size.
	ReasonClientIDShared   = "ClientIDShared"   // Degraded: another bridge uses the same client identifier with the same server.
	ReasonMessageLoop      = "MessageLoop"      // Degraded: messages loop through bridges between the same servers.
	ReasonBufferFailed     = "BufferFailed"     // Degraded: the buffer on disk cannot be written, or a part of it cannot be read.

	// ReasonQoSLowered: Degraded: a server grants a subscription a lower QoS than requested
	// (section 3.9.3), or accepts messages only at a lower QoS than the rules set (MQTT 5
	// section 3.2.2.3.4).
	ReasonQoSLowered = "QoSLowered"
	// ReasonSessionExpiryLowered: Degraded: a server keeps the session for a shorter time
	// after the connection ends than requested (MQTT 5 section 3.2.2.3.2).
	ReasonSessionExpiryLowered = "SessionExpiryLowered"
	// ReasonCredentialsUnusable: Degraded: with reconnect: OnChange, the credentials, the client
	// certificate or the CA of the server in use have changed, and the new values cannot be used.
	ReasonCredentialsUnusable = "CredentialsUnusable"
	// ReasonMessagesUnforwardable: Degraded: no server accepts some messages.
	ReasonMessagesUnforwardable = "MessagesUnforwardable"
)

// Reasons why no server accepts a message, in status.unforwardable.
const (
	// ReasonRefused: the server refuses the message by a reason code (MQTT 5 section
	// 3.4.2.1).
	ReasonRefused = "Refused"
	// ReasonTooLarge: the message exceeds the server's maximum packet size (section
	// 3.2.2.3.6).
	ReasonTooLarge = "TooLarge"
	// ReasonEndsSession: the server ends the session when it receives the message.
	ReasonEndsSession = "EndsSession"
)

// Reasons why a server failed. They appear in the status of servers, failovers and metrics,
// and in LocalConnected and RemoteConnected.
const (
	// ReasonAuthenticationFailed: CONNACK 4 or 5 (MQTT 3.1.1 section 3.2.2.3), 0x86, 0x87,
	// 0x8A or 0x8C (MQTT 5 section 3.2.2.2).
	ReasonAuthenticationFailed = "AuthenticationFailed"
	// ReasonClientIDRejected: CONNACK 2 or 0x85.
	ReasonClientIDRejected = "ClientIDRejected"
	// ReasonProtocolVersionRefused: CONNACK 1 or 0x84.
	ReasonProtocolVersionRefused = "ProtocolVersionRefused"
	// ReasonServerUnavailable: CONNACK 3, 0x88, 0x89, 0x9C, 0x9D or 0x9F, or a DISCONNECT
	// with the same meaning.
	ReasonServerUnavailable = "ServerUnavailable"
	// ReasonSubscriptionRefused: SUBACK 0x80 (section 3.9.3). Degraded: a server in use refuses some
	// filters.
	ReasonSubscriptionRefused = "SubscriptionRefused"
	// ReasonReferenceMissing: a Secret, ConfigMap or ClusterTrustBundle that the spec names,
	// or a key of it, is missing or invalid.
	ReasonReferenceMissing = "ReferenceMissing"
	// ReasonTLSFailed: the TLS handshake failed.
	ReasonTLSFailed = "TLSFailed"
	// ReasonProxyFailed: the proxy cannot be reached, or refuses the connection.
	ReasonProxyFailed = "ProxyFailed"
	// ReasonWebSocketRefused: the server does not upgrade to WebSocket.
	ReasonWebSocketRefused = "WebSocketRefused"
	// ReasonNameNotResolved: the host's name has no address.
	ReasonNameNotResolved = "NameNotResolved"
	// ReasonConnectionRefused: no program listens on the server's port.
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
	// ReasonProtocolError: the server sent a packet that violates the MQTT version in use.
	ReasonProtocolError = "ProtocolError"
	// ReasonConnectRefused: CONNACK with another reason code (MQTT 5 section 3.2.2.2).
	ReasonConnectRefused = "ConnectRefused"
	// ReasonDisconnected: the server sent DISCONNECT (MQTT 5 section 3.14).
	ReasonDisconnected = "Disconnected"
	// ReasonSessionTakenOver: another client connected with the same client identifier.
	ReasonSessionTakenOver = "SessionTakenOver"
	// ReasonQuotaExceeded: the server allows no more connections or messages.
	ReasonQuotaExceeded = "QuotaExceeded"
	// ReasonEchoNotPrevented: the server sends the bridge's own messages back, and the
	// rules would forward them in a loop.
	ReasonEchoNotPrevented = "EchoNotPrevented"
	// ReasonPublishRefused: the server refuses a message (MQTT 5 section 3.4.2.1).
	ReasonPublishRefused = "PublishRefused"
)

// Reasons of switches away from servers that had not failed.
const (
	// ReasonFailedBack: a server of higher preference had proved stable.
	ReasonFailedBack = "FailedBack"
	// ReasonSwitchRequested: preferredServer requested the switch.
	ReasonSwitchRequested = "SwitchRequested"
	// ReasonServerRemoved: a change of the spec has removed the server.
	ReasonServerRemoved = "ServerRemoved"
)

// Reasons of events. The operator sends an event after it has written the status that the
// event describes. The reasons of Stalled, ApplyFailed of Reconciling, and BufferFull and
// BufferFailed of Degraded are also reasons of events.
const (
	EventFailedOver     = "FailedOver"
	EventFailedBack     = "FailedBack"
	EventSwitched       = "Switched"
	EventSwitchRefused  = "SwitchRefused"
	EventAllServersDown = "AllServersDown"
	EventRecovered      = "Recovered"

	EventStandbyFailed    = "StandbyFailed"
	EventStandbyRecovered = "StandbyRecovered"

	EventMessageUnforwardable = "MessageUnforwardable"
	EventClaimAdopted         = "ClaimAdopted"

	EventRolloutStopped  = "RolloutStopped"
	EventManifestApplied = "ManifestApplied"

	EventRunnerTakeover = "RunnerTakeover"
	EventRunnerHandover = "RunnerHandover"

	EventBufferRecovered  = "BufferRecovered"
	EventRunnerTerminated = "RunnerTerminated"

	EventSessionsEnded      = "SessionsEnded"
	EventDeletionIncomplete = "DeletionIncomplete"
)
