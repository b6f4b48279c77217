// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"fmt"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// sessionTable explains the failures of package session. For ConnectRefused, Disconnected and
// PublishRefused it has the rows of the codes that codeTables does not have. It does not have
// BridgeFlagSuspected, SubscribingFailed, SubscriptionsRefused and UnsubscriptionsRefused: ofSession
// explains these.
var sessionTable = map[session.Kind]row{
	session.ConnectRefused:      {v1alpha1.ReasonConnectRefused, "the server refuses the connection {CONNACK}{elsewhere}; check the server's log"},
	session.VersionNotSupported: {v1alpha1.ReasonProtocolVersionRefused, "the server seems not to support MQTT {version}: {detail}; set protocolVersion to a version that the server supports"},
	session.ConnackMalformed:    {v1alpha1.ReasonProtocolError, "{detail}; check the URL's scheme and port, and protocolVersion"},
	session.ConnackTimeout:      {v1alpha1.ReasonConnectTimeout, "the connection was established, but the server did not answer CONNECT within {timeout}; check the URL's scheme and port, and the server's log"},
	session.ConnackClosed:       {v1alpha1.ReasonConnectionClosed, "the server closed the connection instead of answering CONNECT; check the URL's scheme and port, and the server's log"},
	session.ConnackFailed:       {v1alpha1.ReasonConnectionClosed, "the connection failed before the server had answered CONNECT: {detail}; check the network, and the server's log"},
	session.AnswerIsTLS:         {v1alpha1.ReasonProtocolError, "the server uses TLS on this port; write mqtts:// in the URL, or the port of its listener without TLS"},
	session.AnswerNotMQTT:       {v1alpha1.ReasonProtocolError, `the server's answer begins with {"said"} and is not MQTT; check the URL's scheme and port`},
	session.EchoNotPrevented:    {v1alpha1.ReasonEchoNotPrevented, "the server does not support the bridge flag of MQTT 3.1.1 and would send the bridge's own messages back, which the rules would forward again; set protocolVersion: '5' on this side, or change the rules so that no message can loop"},

	session.ProbeTimeout:     {v1alpha1.ReasonPingTimeout, "the server accepted the connection and did not answer a ping within failover.probe.timeoutSeconds; check the server and the network"},
	session.ProbeOtherAnswer: {v1alpha1.ReasonProtocolError, "the server answers a ping with a packet other than PINGRESP"},

	session.PublishTimeout:     {v1alpha1.ReasonAckTimeout, "the server did not acknowledge the message within failover.probe.timeoutSeconds; check the server's log"},
	session.PublishOtherAnswer: {v1alpha1.ReasonProtocolError, "the server answers the message with {detail}, so that it is unknown whether it accepts the message; check the server's log, and update the server if it is faulty"},

	session.SubscribeTooLarge:  {v1alpha1.ReasonSubscriptionRefused, "the subscription to {filter} is larger than the server's maximum packet size of {limit} bytes; raise this limit on the server, or shorten the rule's filter"},
	session.SubscribeCanceled:  {v1alpha1.ReasonConnectTimeout, "the attempt was ended before the server answered SUBSCRIBE"},
	session.SubscribeTimeout:   {v1alpha1.ReasonConnectTimeout, "the server did not answer SUBSCRIBE within failover.connectTimeoutSeconds; check the server's log, or raise this limit"},
	session.UnsubscribeTimeout: {v1alpha1.ReasonConnectTimeout, "the server did not answer UNSUBSCRIBE within failover.connectTimeoutSeconds; check the server's log, or raise this limit"},
	session.SubackMismatch:     {v1alpha1.ReasonProtocolError, "the server answered a subscription to {requested} filters with {answered} codes, so that it is unknown which filters it granted; update the server"},
	session.SessionClosed:      {v1alpha1.ReasonConnectionClosed, "the session was closed"},

	session.ConnectionClosed:  {v1alpha1.ReasonConnectionClosed, "the server or the network closed the connection; check the server's log"},
	session.ConnectionFailed:  {v1alpha1.ReasonConnectionClosed, "the connection failed: {detail}; check the network, and the server's log"},
	session.HostUnreachable:   {v1alpha1.ReasonHostUnreachable, "the host is no longer reachable: {detail}; check routes and network policies"},
	session.NoDataAccepted:    {v1alpha1.ReasonAckTimeout, "the server has accepted no data for failover.ackTimeoutSeconds; check the server and the network"},
	session.PingTimeout:       {v1alpha1.ReasonPingTimeout, "the server did not answer a ping within failover.pingTimeoutSeconds; check the server and the network"},
	session.NoAcknowledgement: {v1alpha1.ReasonAckTimeout, "the server has acknowledged no message for {time}; check the server and the network, or raise failover.ackTimeoutSeconds"},
	session.MessageSkipped:    {v1alpha1.ReasonAckTimeout, "the server has acknowledged later messages but not the oldest message for {time}; check the server's log"},
	session.Disconnected:      {v1alpha1.ReasonDisconnected, "the server ended the session {DISCONNECT}{elsewhere}; check the server's log"},
	session.ProtocolViolation: {v1alpha1.ReasonProtocolError, "{detail}; check the server's log, and update the server if it is faulty"},

	session.NotPermitted: {v1alpha1.ReasonConnectionClosed, "the bridge writes nothing until it is certain that no other runner of its group forwards"},

	session.PublishRefused: {v1alpha1.ReasonPublishRefused, "the server refuses a message to {topic} {reason code}"},
}

// Rows that explain several codes of CONNACK.
var (
	wrongLogin    = row{v1alpha1.ReasonAuthenticationFailed, "the server refuses the user name or password {CONNACK}; {login}"}
	notAuthorized = row{v1alpha1.ReasonAuthenticationFailed, "the server does not authorise the client {CONNACK}; {login}, and check the server's access rules for this client identifier"}
	badClientID   = row{v1alpha1.ReasonClientIDRejected, "the server rejects the client identifier {CONNACK}; set clientID to an identifier that the server accepts"}
	wrongVersion  = row{v1alpha1.ReasonProtocolVersionRefused, "the server does not support MQTT {version} {CONNACK}; set protocolVersion to a version that the server supports"}
	unavailable   = row{v1alpha1.ReasonServerUnavailable, "the server reports that it is unavailable {CONNACK}{elsewhere}; check the server's log"}
	redirects     = row{v1alpha1.ReasonServerUnavailable, "the server redirects the client to another server {CONNACK}{elsewhere}; the bridge does not follow redirects; set the URL to that server"}
)

// Rows that explain several codes of DISCONNECT.
var (
	shutsDown     = row{v1alpha1.ReasonServerUnavailable, "the server is shutting down, or too busy {DISCONNECT}{elsewhere}"}
	redirectsLate = row{v1alpha1.ReasonServerUnavailable, "the server redirects the client to another server {DISCONNECT}{elsewhere}; the bridge does not follow redirects; set the URL to that server"}
)

// codeTables explains the codes of packets: the return codes of CONNACK of MQTT 3.1.1 (section
// 3.2.2.3), and the reason codes of CONNACK, DISCONNECT, PUBACK and PUBREC of MQTT 5 (sections
// 3.2.2.2, 3.14.2.1, 3.4.2.1 and 3.5.2.1).
var codeTables = map[session.Kind]map[byte]row{
	session.ConnectRefused: {
		1: wrongVersion, 2: badClientID, 3: unavailable, 4: wrongLogin, 5: notAuthorized,
		0x84: wrongVersion, 0x85: badClientID, 0x86: wrongLogin, 0x87: notAuthorized, 0x88: unavailable,
		0x89: unavailable, 0x8A: notAuthorized, 0x9C: redirects, 0x9D: redirects, 0x9F: unavailable,
		0x8C: {v1alpha1.ReasonAuthenticationFailed, "the server requires an authentication method that the bridge does not support {CONNACK}; supported are user name and password, and TLS client certificates"},
		0x97: {v1alpha1.ReasonQuotaExceeded, "the server's quota is exceeded {CONNACK}; raise it, or use fewer clients"},
		0x9A: {v1alpha1.ReasonConnectRefused, "the server does not support retained messages {CONNACK}, which notifications require; remove notifications"}, // refers to the Will
		0x9B: {v1alpha1.ReasonConnectRefused, "the server does not support the QoS of the notifications {CONNACK}; set notifications.qos to 0"},
	},
	session.Disconnected: {
		0x89: shutsDown, 0x8B: shutsDown, 0x9F: shutsDown, 0x9C: redirectsLate, 0x9D: redirectsLate,
		0x87: {v1alpha1.ReasonAuthenticationFailed, "the server no longer authorises the client {DISCONNECT}{elsewhere}; check the server's access rules for this client identifier"},
		0x8E: {v1alpha1.ReasonSessionTakenOver, "another client, perhaps a bridge in another cluster, has connected with the client identifier of this bridge, which its status shows; set another clientID, or remove it, because the default is different for each bridge {DISCONNECT}{elsewhere}"},
		0x97: {v1alpha1.ReasonQuotaExceeded, "the server's quota is exceeded {DISCONNECT}{elsewhere}; raise it on the server"},
		0x98: {v1alpha1.ReasonDisconnected, "the server's administrator ended the session {DISCONNECT}{elsewhere}"},
	},
	session.PublishRefused: {
		0x87: {v1alpha1.ReasonPublishRefused, "the server does not authorise the bridge to publish to {topic} {reason code}; allow the bridge's user to publish to it, or change the rule's topic"},
		0x90: {v1alpha1.ReasonPublishRefused, "the server does not accept the topic {topic} {reason code}; change the rule's topic"},
		0x91: {v1alpha1.ReasonProtocolError, "the server reports that the packet identifier is in use {reason code}; the bridge sends the message again under a new identifier"},
		0x97: {v1alpha1.ReasonQuotaExceeded, "the server's quota is exceeded {reason code}; raise it, or send less"},
		0x99: {v1alpha1.ReasonPublishRefused, "the server does not accept the payload of a message to {topic}: it is not in the format that the message announces {reason code}; correct its publisher"},
	},
}

func ofSession(e *session.Error, timeout string) *Problem {
	switch e.Kind {
	case session.BridgeFlagSuspected:
		cause := explain(e.Err, timeout)
		return &Problem{cause.Reason, cause.Message + "; if the server does not support the bridge flag, set bridgeMode: 'Off'"}
	case session.SubscribingFailed:
		cause := explain(e.Err, timeout)
		return &Problem{cause.Reason, "while subscribing to " + few(e.Filters) + ": " + cause.Message + subscribingRemedy(cause.Reason)}
	case session.SubscriptionsRefused:
		return &Problem{v1alpha1.ReasonSubscriptionRefused, refusedFilters(e.Refused)}
	case session.UnsubscriptionsRefused:
		return &Problem{v1alpha1.ReasonSubscriptionRefused, refusedEnds(e.Refused)}
	default:
		explanation, ok := codeTables[e.Kind][e.Code]
		if !ok {
			explanation, ok = sessionTable[e.Kind]
		}
		if !ok { // not reached: a test compares the table with the kinds
			return &Problem{v1alpha1.ReasonConnectionClosed, e.Error()}
		}
		return explanation.problem(func(name string) string { return sessionFact(e, name, timeout) })
	}
}

// sessionFact returns the value of a placeholder for a fact of an error.
func sessionFact(e *session.Error, name, timeout string) string {
	switch name {
	case "timeout":
		return timeout
	case "version":
		if e.Version == packet.V5 {
			return string(v1alpha1.ProtocolVersion5)
		}
		return string(v1alpha1.ProtocolVersion311)
	case "CONNACK":
		if e.Version == packet.V5 && e.Code >= 0x80 {
			return fmt.Sprintf("(CONNACK 0x%02x%s)", e.Code, said(e.Said))
		}
		return fmt.Sprintf("(CONNACK %d%s)", e.Code, said(e.Said))
	case "DISCONNECT", "reason code":
		return fmt.Sprintf("(%s 0x%02x%s)", name, e.Code, said(e.Said))
	case `"said"`:
		return fmt.Sprintf("%q", e.Said)
	case "elsewhere":
		if e.ServerReference == "" {
			return ""
		}
		return fmt.Sprintf("; it refers to another server: %.*q", maxQuoted, e.ServerReference)
	case "login":
		return loginRemedy(e.Login)
	case "topic":
		return fmt.Sprintf("%q", e.Topic)
	case "filter":
		return fmt.Sprintf("%q", strings.Join(e.Filters, ", "))
	case "limit":
		return fmt.Sprint(e.Limit)
	case "requested":
		return fmt.Sprint(e.Requested)
	case "answered":
		return fmt.Sprint(e.Answered)
	case "time":
		return e.Timeout.String()
	case "detail":
		return e.Detail
	}
	return unknown(name)
}

// maxQuoted is the number of characters of a server's own words that a message contains at
// most, so that a status message, which has 512 bytes, has room for the remedy.
const maxQuoted = 120

// said formats a server's Reason String as a part of a message.
func said(reason string) string {
	if reason == "" {
		return ""
	}
	return fmt.Sprintf(", %.*q", maxQuoted, reason)
}

// loginRemedy returns the remedy for a refused user name or password. It names their origin.
func loginRemedy(login session.Login) string {
	switch from := login.Source; {
	case from == "":
		return "no credentials are set; set credentials.username and credentials.password"
	case login.Username && login.Password:
		return "check the user name and password in " + from
	case login.Username:
		return "check the user name in " + from + "; the bridge sends no password"
	case login.Password:
		return "check the password in " + from + "; the bridge sends no user name"
	default:
		return "the bridge sends no user name and no password, because the values in " + from + " are empty; set them"
	}
}
