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

// Error is why a session could not be opened or has ended. Its text is the same
// each time that the same thing happens (it holds no local port, no time), so that
// it can stand in a status that is written on changes only.
type Error = transport.Error

func newError(reason, message string, cause error) *Error {
	return &Error{Reason: reason, Message: message, Err: cause}
}

// AsError returns why a session could not be opened or has ended. An error of another
// type than *[Error], or none, is that of a connection that was closed.
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

// withoutSecrets returns a server's own words without the secrets of the connection: those
// of the transport, and the password, or the user name if that is the whole login, as a
// token is. Of a login the words of the bridge are left as they are, because a password may
// be one of them.
func (s *Session) withoutSecrets(words string) string {
	if words == "" {
		return ""
	}
	words = s.cfg.Transport.Mask(words)
	secret := s.cfg.Password
	if secret == "" {
		secret = s.cfg.Username
	}
	if len(secret) < transport.MinSecret {
		return words
	}
	return strings.ReplaceAll(words, secret, v1alpha1.Masked)
}

// Reason codes of MQTT 5 (section 2.4), besides those of package packet.
const (
	codeRefused           = 0x80 // this and above
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

// maxWords is how many characters of a server's own words a message has, so that a status,
// which takes 512 bytes, has the remedy behind them, too.
const maxWords = 120

// quoted is a server's Reason String as a part of a message.
func quoted(reason string) string {
	if reason == "" {
		return ""
	}
	return fmt.Sprintf(", %.*q", maxWords, reason)
}

// loginHint says where the user name and password come from that a server refuses.
func (s *Session) loginHint() string {
	from := s.cfg.LoginFrom
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
	return from + " has neither a user name nor a password, so that none were sent; set its keys username and password"
}

// refusal explains a CONNACK with a code other than 0: a return code of MQTT 3.1.1
// (section 3.2.2.3) or a reason code of MQTT 5 (section 3.2.2.2).
func (s *Session) refusal(ack packet.Connack) *Error {
	ack.Reason, ack.ServerReference = s.withoutSecrets(ack.Reason), s.withoutSecrets(ack.ServerReference)
	login := s.loginHint()
	code := fmt.Sprintf("(CONNACK %d%s)", ack.Code, quoted(ack.Reason))
	if s.version == packet.V5 && ack.Code >= codeRefused {
		code = fmt.Sprintf("(CONNACK 0x%02x%s)", ack.Code, quoted(ack.Reason))
	}
	elsewhere := ""
	if ack.ServerReference != "" {
		elsewhere = fmt.Sprintf("; it says to use %.*q", maxWords, ack.ServerReference)
	}
	refused := func(reason, text string, args ...any) *Error {
		return &Error{Reason: reason, Message: fmt.Sprintf(text, args...)}
	}
	switch ack.Code {
	case 4, 0x86:
		return refused(v1alpha1.ReasonAuthenticationFailed, "the server refuses the user name or password %s; %s", code, login)
	case 5, 0x87, 0x8A:
		return refused(v1alpha1.ReasonAuthenticationFailed, "the server does not authorise the client %s; %s, and look at the server's rules for this client identifier", code, login)
	case codeBadAuthentication:
		return refused(v1alpha1.ReasonAuthenticationFailed, "the server asks for another way of authentication %s; the bridge has user name and password, and TLS client certificates", code)
	case 2, 0x85:
		return refused(v1alpha1.ReasonClientIDRejected, "the server rejects the client identifier %s; set clientID to one that it accepts", code)
	case 1, 0x84:
		return refused(v1alpha1.ReasonProtocolVersionRefused, "the server does not speak MQTT %s %s; set protocolVersion to one that it speaks", s.versionName(), code)
	case 3, 0x88, 0x89, 0x9F:
		return refused(v1alpha1.ReasonServerUnavailable, "the server says that it is unavailable %s%s", code, elsewhere)
	case 0x9C, 0x9D:
		return refused(v1alpha1.ReasonServerUnavailable, "the server says to use another one %s%s", code, elsewhere)
	case codeQuotaExceeded:
		return refused(v1alpha1.ReasonQuotaExceeded, "the server's quota is exceeded %s; raise it, or use fewer clients", code)
	case 0x9A: // of the Will
		return refused(v1alpha1.ReasonConnectRefused, "the server keeps no retained messages %s, as notifications are; remove notifications", code)
	case 0x9B:
		return refused(v1alpha1.ReasonConnectRefused, "the server does not have the QoS of the notifications %s; set notifications.qos to 0", code)
	}
	return refused(v1alpha1.ReasonConnectRefused, "the server refuses the connection %s%s; look at its log", code, elsewhere)
}

func (s *Session) versionName() v1alpha1.ProtocolVersion {
	if s.version == packet.V5 {
		return v1alpha1.ProtocolVersion5
	}
	return v1alpha1.ProtocolVersion311
}

// notMQTTError is for an answer to CONNECT that is no CONNACK.
func (s *Session) notMQTTError(answer []byte) *Error {
	const some = 16
	if len(answer) > 1 && (answer[0] == 0x15 || answer[0] == 0x16) && answer[1] == 3 { // a TLS record: an alert or a handshake
		return &Error{Reason: v1alpha1.ReasonProtocolError, Message: "the server speaks TLS there; write mqtts:// in the URL, or the port of its plain listener"}
	}
	text := s.withoutSecrets(string(answer))
	return &Error{Reason: v1alpha1.ReasonProtocolError, Message: fmt.Sprintf("the server's answer begins with %q and is not MQTT; check the URL's scheme and port", text[:min(len(text), some)])}
}

// connectError explains why there was no CONNACK.
func (s *Session) connectError(ctx context.Context, err error) *Error {
	var (
		told      *Error
		malformed *packet.MalformedError
	)
	switch {
	case errors.As(err, &told):
		return told
	case errors.As(err, &malformed) && malformed.Code == packet.CodeUnsupportedProtocolVersion:
		return newError(v1alpha1.ReasonProtocolVersionRefused, fmt.Sprintf("the server does not seem to speak MQTT %s: %v; set protocolVersion to one that it speaks", s.versionName(), malformed), err)
	case errors.As(err, &malformed):
		return newError(v1alpha1.ReasonProtocolError, malformed.Error()+"; check the URL's scheme and port, and protocolVersion", err)
	case transport.Alert(err) != nil:
		// With TLS 1.3 the server judges the client's certificate after the
		// client's handshake is over.
		return transport.Alert(err)
	case transport.TimedOut(ctx, err):
		return newError(v1alpha1.ReasonConnectTimeout, "the server accepted the connection and did not answer within connectTimeoutSeconds", err)
	case transport.Closed(err):
		return newError(v1alpha1.ReasonConnectionClosed, "the server closed the connection instead of answering CONNECT; check the URL's scheme and port, and the server's log", err)
	}
	return newError(v1alpha1.ReasonConnectionClosed, "the connection failed before the server had answered CONNECT: "+transport.Cause(err), err)
}

// lostError explains why the connection of an open session ended.
func lostError(err error) *Error {
	var told *Error
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return newError(v1alpha1.ReasonAckTimeout, "the server has taken no data for ackTimeoutSeconds", err)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		// What the kernel was told while nothing was acknowledged for TCP_USER_TIMEOUT.
		return newError(v1alpha1.ReasonHostUnreachable, "the host cannot be reached any more: "+transport.Cause(err)+"; check routes and network policies", err)
	case transport.Closed(err):
		return newError(v1alpha1.ReasonConnectionClosed, "the server or the network closed the connection", err)
	}
	return newError(v1alpha1.ReasonConnectionClosed, "the connection failed: "+transport.Cause(err), err)
}

// disconnectError explains a server's DISCONNECT (MQTT 5 section 3.14.2.1).
func (s *Session) disconnectError(d packet.Disconnect) *Error {
	d.Reason, d.ServerReference = s.withoutSecrets(d.Reason), s.withoutSecrets(d.ServerReference)
	code := fmt.Sprintf("(DISCONNECT 0x%02x%s)", d.Code, quoted(d.Reason))
	elsewhere := ""
	if d.ServerReference != "" {
		elsewhere = fmt.Sprintf("; it says to use %.*q", maxWords, d.ServerReference)
	}
	reason, text := v1alpha1.ReasonDisconnected, "the server ended the session"
	switch d.Code {
	case 0x87:
		reason, text = v1alpha1.ReasonAuthenticationFailed, "the server does not authorise the client any more"
	case 0x89, 0x8B, 0x9F:
		reason, text = v1alpha1.ReasonServerUnavailable, "the server is shutting down, or too busy"
	case 0x8E:
		reason, text = v1alpha1.ReasonSessionTakenOver, "another client has connected with the same client identifier; give each bridge a clientID of its own"
	case 0x98:
		text = "the server's administrator ended the session"
	case 0x9C, 0x9D:
		reason, text = v1alpha1.ReasonServerUnavailable, "the server says to use another one"
	case codeQuotaExceeded:
		reason, text = v1alpha1.ReasonQuotaExceeded, "the server's quota is exceeded"
	}
	return &Error{Reason: reason, Message: text + " " + code + elsewhere}
}
