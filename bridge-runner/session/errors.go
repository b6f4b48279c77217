// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// Error is the reason why a session could not be opened or has ended. Its text is the same
// each time the same failure happens (it contains no local port and no time), so that a
// status that contains it is written only on changes.
type Error = transport.Error

func newError(reason, message string, cause error) *Error {
	return &Error{Reason: reason, Message: message, Err: cause}
}

// AsError returns the reason why a session could not be opened or has ended. It describes
// nil, and an error that is not an *[Error], as a closed connection.
func AsError(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case err == nil:
		return newError(v1alpha1.ReasonConnectionClosed, "the session ended", nil)
	}
	return newError(v1alpha1.ReasonConnectionClosed, err.Error(), err)
}

// maskSecrets masks the secrets of the connection in a server's own words. These are the
// transport's secrets, and the password, or the user name if there is no password (a
// token). The bridge's own words must not pass through it, because the password may be one
// of them.
func (s *Session) maskSecrets(words string) string {
	if words == "" {
		return ""
	}
	words = s.cfg.Transport.Mask(words)
	secret := s.cfg.Password
	if secret == "" {
		secret = s.cfg.Username
	}
	if len(secret) < transport.MinSecretLength {
		return words
	}
	return strings.ReplaceAll(words, secret, v1alpha1.MaskedSecret)
}

// Reason codes of MQTT 5 (section 2.4), in addition to the codes of package packet.
const (
	codeRefused           = 0x80 // refusals: 0x80 and above
	codeUnspecified       = 0x80
	codeImplementation    = 0x83 // "implementation specific error"
	codeBadAuthentication = 0x8C
	codeNotAuthorized     = 0x87
	codeTopicNameInvalid  = 0x90
	codeIDInUse           = 0x91
	codeIDNotFound        = 0x92
	codeQuotaExceeded     = 0x97

	codePayloadFormatInvalid = 0x99
)

// maxQuoted is the number of characters of a server's own words that a message contains at
// most, so that a status message, which has 512 bytes, has room for the remedy.
const maxQuoted = 120

// quotedReason formats a server's Reason String as a part of a message.
func quotedReason(reason string) string {
	if reason == "" {
		return ""
	}
	return fmt.Sprintf(", %.*q", maxQuoted, reason)
}

// loginHint returns the remedy for a refused user name or password. It names their origin.
func (s *Session) loginHint() string {
	from := s.cfg.CredentialsSource
	switch username, password := s.cfg.Username != "", s.cfg.Password != ""; {
	case from == "":
		return "no credentials are set; name a Secret in credentials.secretRef"
	case username && password:
		return "check the user name and password in " + from
	case username:
		return "check the user name in " + from + ", which has no password"
	case password:
		return "check the password in " + from + ", which has no user name"
	}
	return from + " has neither a user name nor a password, so the bridge sent none; set its keys username and password"
}

// refusalError explains a CONNACK with a code other than 0: a return code of MQTT 3.1.1
// (section 3.2.2.3) or a reason code of MQTT 5 (section 3.2.2.2).
func (s *Session) refusalError(ack packet.Connack) *Error {
	ack.Reason, ack.ServerReference = s.maskSecrets(ack.Reason), s.maskSecrets(ack.ServerReference)
	login := s.loginHint()
	code := fmt.Sprintf("(CONNACK %d%s)", ack.Code, quotedReason(ack.Reason))
	if s.version == packet.V5 && ack.Code >= codeRefused {
		code = fmt.Sprintf("(CONNACK 0x%02x%s)", ack.Code, quotedReason(ack.Reason))
	}
	elsewhere := ""
	if ack.ServerReference != "" {
		elsewhere = fmt.Sprintf("; it refers to another server: %.*q", maxQuoted, ack.ServerReference)
	}
	refused := func(reason, text string, args ...any) *Error {
		return &Error{Reason: reason, Message: fmt.Sprintf(text, args...)}
	}
	switch ack.Code {
	case 4, 0x86:
		return refused(v1alpha1.ReasonAuthenticationFailed, "the server refuses the user name or password %s; %s", code, login)
	case 5, 0x87, 0x8A:
		return refused(v1alpha1.ReasonAuthenticationFailed, "the server does not authorise the client %s; %s, and check the server's access rules for this client identifier", code, login)
	case codeBadAuthentication:
		return refused(v1alpha1.ReasonAuthenticationFailed, "the server requires an authentication method that the bridge does not support %s; supported are user name and password, and TLS client certificates", code)
	case 2, 0x85:
		return refused(v1alpha1.ReasonClientIDRejected, "the server rejects the client identifier %s; set clientID to an identifier that the server accepts", code)
	case 1, 0x84:
		return refused(v1alpha1.ReasonProtocolVersionRefused, "the server does not support MQTT %s %s; set protocolVersion to a version that the server supports", s.versionName(), code)
	case 3, 0x88, 0x89, 0x9F:
		return refused(v1alpha1.ReasonServerUnavailable, "the server reports that it is unavailable %s%s", code, elsewhere)
	case 0x9C, 0x9D:
		return refused(v1alpha1.ReasonServerUnavailable, "the server redirects the client to another server %s%s", code, elsewhere)
	case codeQuotaExceeded:
		return refused(v1alpha1.ReasonQuotaExceeded, "the server's quota is exceeded %s; raise it, or use fewer clients", code)
	case 0x9A: // refers to the Will
		return refused(v1alpha1.ReasonConnectRefused, "the server does not support retained messages %s, which notifications require; remove notifications", code)
	case 0x9B:
		return refused(v1alpha1.ReasonConnectRefused, "the server does not support the QoS of the notifications %s; set notifications.qos to 0", code)
	}
	return refused(v1alpha1.ReasonConnectRefused, "the server refuses the connection %s%s; check the server's log", code, elsewhere)
}

func (s *Session) versionName() v1alpha1.ProtocolVersion {
	if s.version == packet.V5 {
		return v1alpha1.ProtocolVersion5
	}
	return v1alpha1.ProtocolVersion311
}

// notMQTTError explains an answer to CONNECT that is not a CONNACK.
func (s *Session) notMQTTError(answer []byte) *Error {
	const some = 16
	if len(answer) > 1 && (answer[0] == 0x15 || answer[0] == 0x16) && answer[1] == 3 { // a TLS record: an alert or a handshake
		return &Error{Reason: v1alpha1.ReasonProtocolError, Message: "the server uses TLS on this port; write mqtts:// in the URL, or the port of its listener without TLS"}
	}
	text := s.maskSecrets(string(answer))
	return &Error{Reason: v1alpha1.ReasonProtocolError, Message: fmt.Sprintf("the server's answer begins with %q and is not MQTT; check the URL's scheme and port", text[:min(len(text), some)])}
}

// connectError explains why the server sent no CONNACK.
func (s *Session) connectError(ctx context.Context, err error) *Error {
	var (
		known     *Error
		malformed *packet.MalformedError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &malformed) && malformed.Code == packet.CodeUnsupportedProtocolVersion:
		return newError(v1alpha1.ReasonProtocolVersionRefused, fmt.Sprintf("the server seems not to support MQTT %s: %v; set protocolVersion to a version that the server supports", s.versionName(), malformed), err)
	case errors.As(err, &malformed):
		return newError(v1alpha1.ReasonProtocolError, malformed.Error()+"; check the URL's scheme and port, and protocolVersion", err)
	case transport.AsAlert(err) != nil:
		// With TLS 1.3 the server verifies the client's certificate after the client has
		// completed its handshake.
		return transport.AsAlert(err)
	case transport.TimedOut(ctx, err):
		return newError(v1alpha1.ReasonConnectTimeout, "the server accepted the connection and did not answer within connectTimeoutSeconds", err)
	case transport.Closed(err):
		return newError(v1alpha1.ReasonConnectionClosed, "the server closed the connection instead of answering CONNECT; check the URL's scheme and port, and the server's log", err)
	}
	return newError(v1alpha1.ReasonConnectionClosed, "the connection failed before the server had answered CONNECT: "+transport.CauseText(err), err)
}

// connectionLostError explains why the connection of an open session ended.
func connectionLostError(err error) *Error {
	var known *Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return newError(v1alpha1.ReasonAckTimeout, "the server has accepted no data for ackTimeoutSeconds", err)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		// The kernel received this from the network while nothing was acknowledged for
		// TCP_USER_TIMEOUT.
		return newError(v1alpha1.ReasonHostUnreachable, "the host is no longer reachable: "+transport.CauseText(err)+"; check routes and network policies", err)
	case transport.Closed(err):
		return newError(v1alpha1.ReasonConnectionClosed, "the server or the network closed the connection", err)
	}
	return newError(v1alpha1.ReasonConnectionClosed, "the connection failed: "+transport.CauseText(err), err)
}

// disconnectError explains a server's DISCONNECT (MQTT 5 section 3.14.2.1).
func (s *Session) disconnectError(d packet.Disconnect) *Error {
	d.Reason, d.ServerReference = s.maskSecrets(d.Reason), s.maskSecrets(d.ServerReference)
	code := fmt.Sprintf("(DISCONNECT 0x%02x%s)", d.Code, quotedReason(d.Reason))
	elsewhere := ""
	if d.ServerReference != "" {
		elsewhere = fmt.Sprintf("; it refers to another server: %.*q", maxQuoted, d.ServerReference)
	}
	reason, text := v1alpha1.ReasonDisconnected, "the server ended the session"
	switch d.Code {
	case 0x87:
		reason, text = v1alpha1.ReasonAuthenticationFailed, "the server no longer authorises the client"
	case 0x89, 0x8B, 0x9F:
		reason, text = v1alpha1.ReasonServerUnavailable, "the server is shutting down, or too busy"
	case 0x8E:
		reason, text = v1alpha1.ReasonSessionTakenOver, "another client has connected with the same client identifier; give each bridge a clientID of its own"
	case 0x98:
		text = "the server's administrator ended the session"
	case 0x9C, 0x9D:
		reason, text = v1alpha1.ReasonServerUnavailable, "the server redirects the client to another server"
	case codeQuotaExceeded:
		reason, text = v1alpha1.ReasonQuotaExceeded, "the server's quota is exceeded"
	}
	return &Error{Reason: reason, Message: text + " " + code + elsewhere}
}
