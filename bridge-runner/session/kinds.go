// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

// Kind identifies a failure, and the step at which it occurred. Its value describes the failure for
// developers. The comments name the facts of an [Error] that a kind has.
type Kind string

// Failures before the server has accepted the connection. Errors of package transport occur, too.
const (
	ConnectRefused      Kind = "CONNACK refuses"       // Code, Said, ServerReference, Version, Login
	VersionNotSupported Kind = "version not supported" // Version, Detail
	ConnackMalformed    Kind = "answer malformed"      // Detail
	ConnackTimeout      Kind = "no CONNACK"
	ConnackClosed       Kind = "closed instead of CONNACK"
	ConnackFailed       Kind = "failed before CONNACK" // Detail
	AnswerIsTLS         Kind = "answer is TLS"
	AnswerNotMQTT       Kind = "answer is not MQTT" // Said: the beginning
	EchoNotPrevented    Kind = "bridge flag refused"
	// BridgeFlagSuspected: Err is the failure, which the bridge flag may have caused.
	BridgeFlagSuspected Kind = "failed, perhaps because of the bridge flag"
)

// Failures of a probe after the server has accepted the connection.
const (
	ProbeTimeout     Kind = "probe: no PINGRESP"
	ProbeOtherAnswer Kind = "probe: other answer to PINGREQ"
	// PublishTimeout and PublishOtherAnswer are failures of the message of [Inspect].
	PublishTimeout     Kind = "inspection: no PUBACK"
	PublishOtherAnswer Kind = "inspection: other answer to PUBLISH" // Detail
)

// Failures of subscribing.
const (
	SubscribeTooLarge    Kind = "SUBSCRIBE too large" // Filters: one; Limit: the server's, in bytes
	SubscribeCanceled    Kind = "canceled before SUBACK"
	SubscribeTimeout     Kind = "no SUBACK"
	SubackMismatch       Kind = "SUBACK with other number" // Requested, Answered
	SubscriptionsRefused Kind = "SUBACK refuses"           // Refused
	SessionClosed        Kind = "session closed by the caller"
	// SubscribingFailed: Err is the failure, and Filters were not granted when it occurred.
	SubscribingFailed Kind = "failed while subscribing"
	// UnsubscribeTimeout: the server has not answered UNSUBSCRIBE.
	UnsubscribeTimeout Kind = "no UNSUBACK"
	// UnsubscriptionsRefused: the session goes on. The fact is Refused.
	UnsubscriptionsRefused Kind = "UNSUBACK refuses"
)

// Reasons why a session in use has ended.
const (
	ConnectionClosed  Kind = "connection closed"
	ConnectionFailed  Kind = "connection failed" // Detail
	HostUnreachable   Kind = "host unreachable"  // Detail
	NoDataAccepted    Kind = "no data accepted"
	PingTimeout       Kind = "no PINGRESP"
	NoAcknowledgement Kind = "no acknowledgement"        // Timeout
	MessageSkipped    Kind = "oldest message skipped"    // Timeout
	Disconnected      Kind = "DISCONNECT"                // Code, Said, ServerReference
	ProtocolViolation Kind = "violation of the protocol" // Detail
	// NotPermitted: the [Gate] is closed. It also occurs before CONNECT is written.
	NotPermitted Kind = "not permitted to write"
)

// PublishRefused says that the server has refused a message. The session goes on. The facts are Topic,
// Code and Said.
const PublishRefused Kind = "message refused"
