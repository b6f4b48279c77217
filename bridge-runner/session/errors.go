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
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
	"github.com/mqttbridge/mqttbridge-operator/internal/printable"
)

// Error is the reason why a session could not be opened or has ended, or why the server has refused
// a message: a kind and the facts that the kind has. The same failure always has the same facts (no
// local port and no time of day), so that a status that contains them is written only on changes.
// The facts contain no secrets.
type Error struct {
	Kind Kind
	// Version is the version of MQTT.
	Version packet.Version
	// Code is the reason code that the server sent.
	Code byte
	// Said is a text that the server sent: the Reason String of MQTT 5, or the answer.
	Said string
	// ServerReference is another server that the server named (MQTT 5 section 4.11).
	ServerReference string
	// Login describes the credentials that were sent.
	Login Login
	// Topic is the topic of the refused message.
	Topic string
	// Filters are topic filters.
	Filters []string
	// Refused are the filters that the server refuses.
	Refused []RefusedFilter
	// Requested and Answered are the numbers of filters in SUBSCRIBE and of codes in SUBACK.
	Requested, Answered int
	// Limit is a size, in bytes.
	Limit uint32
	// Timeout is the time that the server had.
	Timeout time.Duration
	// Detail is a text of the operating system, or describes a violation of the protocol.
	Detail string
	// Err is the cause. It may be nil.
	Err error
}

// Login describes the credentials of a client.
type Login struct {
	// Source names the origin of the credentials. It is empty if none are configured.
	Source string
	// Username and Password are whether a user name and a password were sent.
	Username, Password bool
}

// RefusedFilter is a filter that the server refuses.
type RefusedFilter struct {
	Filter string
	Code   byte
	Said   string // Reason String (MQTT 5 section 3.9.2.1.2)
}

// Error returns the kind and the facts, for developers.
func (e *Error) Error() string {
	text := string(e.Kind)
	if e.Code != 0 {
		text += fmt.Sprintf(" 0x%02x", e.Code)
	}
	for _, fact := range append([]string{e.Said, e.ServerReference, e.Topic, e.Detail}, e.Filters...) {
		if fact != "" {
			text += fmt.Sprintf(" %q", fact)
		}
	}
	for _, r := range e.Refused {
		text += fmt.Sprintf(" %q: 0x%02x %q", r.Filter, r.Code, r.Said)
	}
	if e.Err != nil && (e.Kind == BridgeFlagSuspected || e.Kind == SubscribingFailed) {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// maxWords is the largest length of a server's own words that an error has, in bytes. An error may be kept for each
// message that waits.
const maxWords = 512

// maskSecrets masks the secrets of the connection in a server's own words, and cuts the words to maxWords. The secrets
// are the transport's secrets, and the password, or the user name if there is no password (a
// token). Other words must not pass through it, because the password may be one of them. The result does not keep
// the packet in memory.
func (s *Session) maskSecrets(words string) string {
	if words == "" {
		return ""
	}
	words = s.cfg.Transport.Mask(words)
	secret := s.cfg.Password
	if secret == "" {
		secret = s.cfg.Username
	}
	return strings.Clone(printable.Cut(transport.MaskValue(words, secret), maxWords))
}

// Reason codes of MQTT 5 (section 2.4), in addition to the codes of package packet.
const (
	codeRefused           = 0x80 // refusals: 0x80 and above
	codeUnspecified       = 0x80
	codeImplementation    = 0x83 // "implementation specific error"
	codeWrongVersion      = 0x84 // "unsupported protocol version"
	codeBadAuthentication = 0x8C
	codeNotAuthorized     = 0x87
	codeTopicNameInvalid  = 0x90
	codeIDInUse           = 0x91
	codeIDNotFound        = 0x92

	codeReceiveMaximumExceeded = 0x93

	codePayloadFormatInvalid = 0x99
)

// CodeSessionTakenOver is the code of a DISCONNECT because another client has connected with the same
// client identifier.
const CodeSessionTakenOver = 0x8E

// codeWrongVersion311 is the return code of MQTT 3.1.1 for an unsupported protocol level (section
// 3.2.2.3).
const codeWrongVersion311 = 1

// codeWrongPassword311 is the return code of MQTT 3.1.1 for a wrong user name or password.
const codeWrongPassword311 = 4

// refusalError explains a CONNACK with a code other than 0: a return code of MQTT 3.1.1
// (section 3.2.2.3) or a reason code of MQTT 5 (section 3.2.2.2).
func (s *Session) refusalError(ack packet.Connack) *Error {
	return &Error{
		Kind: ConnectRefused, Version: s.version, Code: ack.Code,
		Said: s.maskSecrets(ack.Reason), ServerReference: s.maskSecrets(ack.ServerReference),
		Login: Login{s.cfg.CredentialsSource, s.cfg.Username != "", s.cfg.Password != ""},
	}
}

// notMQTTError explains an answer to CONNECT that is not a CONNACK.
func (s *Session) notMQTTError(answer []byte) *Error {
	const some = 16
	if len(answer) > 1 && (answer[0] == 0x15 || answer[0] == 0x16) && answer[1] == 3 { // a TLS record: an alert or a handshake
		return &Error{Kind: AnswerIsTLS}
	}
	text := s.maskSecrets(string(answer))
	return &Error{Kind: AnswerNotMQTT, Said: text[:min(len(text), some)]}
}

// IsNotPermitted reports whether the [Gate] is the reason of an error: the server has not failed.
func IsNotPermitted(err error) bool {
	var e *Error
	for errors.As(err, &e) {
		if e.Kind == NotPermitted {
			return true
		}
		err = e.Err
	}
	return false
}

// explained returns the error of this package or of package transport that err is or wraps. It returns
// nil if there is none.
func explained(err error) error {
	var (
		here  *Error
		below *transport.Error
	)
	switch {
	case errors.As(err, &here):
		return here
	case errors.As(err, &below):
		return below
	}
	return nil
}

// connectError explains why the server sent no CONNACK.
func (s *Session) connectError(ctx context.Context, err error) error {
	var malformed *packet.MalformedError
	switch {
	case explained(err) != nil:
		return explained(err)
	case errors.As(err, &malformed) && malformed.Code == packet.CodeUnsupportedProtocolVersion:
		return &Error{Kind: VersionNotSupported, Version: s.version, Detail: malformed.Error(), Err: err}
	case errors.As(err, &malformed):
		return &Error{Kind: ConnackMalformed, Detail: malformed.Error(), Err: err}
	case transport.AsAlert(err) != nil:
		// With TLS 1.3 the server verifies the client's certificate after the client has
		// completed its handshake.
		return transport.AsAlert(err)
	case transport.TimedOut(ctx, err):
		return &Error{Kind: ConnackTimeout, Err: err}
	case transport.Closed(err):
		return &Error{Kind: ConnackClosed, Err: err}
	}
	return &Error{Kind: ConnackFailed, Detail: transport.CauseText(err), Err: err}
}

// connectionLostError explains why the connection of an open session ended.
func connectionLostError(err error) error {
	switch {
	case explained(err) != nil:
		return explained(err)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return &Error{Kind: NoDataAccepted, Err: err}
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		// The kernel received this from the network while nothing was acknowledged for
		// TCP_USER_TIMEOUT.
		return &Error{Kind: HostUnreachable, Detail: transport.CauseText(err), Err: err}
	case transport.Closed(err):
		return &Error{Kind: ConnectionClosed, Err: err}
	}
	return &Error{Kind: ConnectionFailed, Detail: transport.CauseText(err), Err: err}
}

// disconnectError explains a server's DISCONNECT (MQTT 5 section 3.14.2.1).
func (s *Session) disconnectError(d packet.Disconnect) *Error {
	return &Error{Kind: Disconnected, Code: d.Code, Said: s.maskSecrets(d.Reason), ServerReference: s.maskSecrets(d.ServerReference)}
}
