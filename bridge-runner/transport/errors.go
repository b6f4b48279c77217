// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Error is the reason why a connection failed or ended. The same event always has the same text
// (without a local port or time), because the text is part of a status that is written only when
// it changes.
type Error struct {
	// Reason is one of the reasons for servers in package v1alpha1.
	Reason string
	// Message says what happened and what to do.
	Message string
	// Err is the cause. It may be nil.
	Err error
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// Permanent reports whether the server refuses the client until the configuration of one of the two
// changes. Frequent retries do not help then, and may lock an account.
func (e *Error) Permanent() bool {
	switch e.Reason {
	case v1alpha1.ReasonAuthenticationFailed, v1alpha1.ReasonClientIDRejected, v1alpha1.ReasonProtocolVersionRefused,
		v1alpha1.ReasonEchoNotPrevented:
		return true
	}
	return false
}

// tcpError explains why the TCP connection failed.
func tcpError(ctx context.Context, err error) *Error {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return &Error{v1alpha1.ReasonNameNotResolved, fmt.Sprintf("the host name %q cannot be resolved (%s); check the URL's host and the cluster's DNS", dns.Name, dnsCause(dns)), err}
	case TimedOut(ctx, err):
		return &Error{v1alpha1.ReasonConnectTimeout, "no connection within connectTimeoutSeconds; check that the host is up, and that no firewall or network policy drops the packets", err}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{v1alpha1.ReasonConnectionRefused, "connection refused: no program listens on this port; check the URL's port, and that the server runs", err}
	case errors.Is(err, syscall.ECONNRESET):
		return &Error{v1alpha1.ReasonConnectionClosed, "the connection was reset before it was established; check the server, and the firewalls on the way to it", err}
	}
	return &Error{v1alpha1.ReasonHostUnreachable, "the host cannot be reached: " + CauseText(err) + "; check routes and network policies", err}
}

// dnsCause says why a name has no address. It does not use the error's own text, because that
// contains ports that change.
func dnsCause(err *net.DNSError) string {
	switch {
	case err.IsNotFound:
		return "no such host"
	case err.IsTimeout:
		return "the DNS server does not answer"
	}
	return "the DNS query fails"
}

// Closed reports whether the peer, or the network, ended the connection.
func Closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// TimedOut reports whether the context has ended, or a deadline has passed.
func TimedOut(ctx context.Context, err error) bool {
	var timeout net.Error
	return ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// CauseText returns the text of an error without the network addresses around it, because the local
// address differs for each connection.
func CauseText(err error) string {
	var op *net.OpError
	for errors.As(err, &op) {
		err = op.Err
	}
	return err.Error()
}
