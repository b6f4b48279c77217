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

// Error is why there is no connection, or no longer one. Its text is the same each
// time that the same thing happens (it holds no local port, no time), so that it can
// stand in a status that is written on changes only.
type Error struct {
	// Reason is one of the reasons of servers in package v1alpha1.
	Reason string
	// Message says what happened and what to do about it.
	Message string
	// Err is the cause, if there is one.
	Err error
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// ForGood reports whether the server refuses the client until one of the two is
// configured anew: to try again soon is of no use, and may lock an account.
func (e *Error) ForGood() bool {
	switch e.Reason {
	case v1alpha1.ReasonAuthenticationFailed, v1alpha1.ReasonClientIDRejected, v1alpha1.ReasonProtocolVersionRefused,
		v1alpha1.ReasonEchoNotPrevented:
		return true
	}
	return false
}

// tcpError explains why no connection could be made.
func tcpError(ctx context.Context, err error) *Error {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return &Error{v1alpha1.ReasonNameNotResolved, fmt.Sprintf("the name %q could not be resolved (%s); check the URL's host and the cluster's DNS", dns.Name, unresolved(dns)), err}
	case TimedOut(ctx, err):
		return &Error{v1alpha1.ReasonConnectTimeout, "no connection within connectTimeoutSeconds; check that the host is up and that no firewall or network policy drops the packets", err}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{v1alpha1.ReasonConnectionRefused, "connection refused: nothing listens there; check the URL's port and that the server runs", err}
	case errors.Is(err, syscall.ECONNRESET):
		return &Error{v1alpha1.ReasonConnectionClosed, "the connection was reset while it was made", err}
	}
	return &Error{v1alpha1.ReasonHostUnreachable, "the host cannot be reached: " + Cause(err) + "; check routes and network policies", err}
}

// unresolved says why a name has no address. The error's own words hold ports that
// change.
func unresolved(err *net.DNSError) string {
	switch {
	case err.IsNotFound:
		return "no such host"
	case err.IsTimeout:
		return "the name server did not answer"
	}
	return "the name server failed"
}

// Closed reports whether the other end, or the network, ended the connection.
func Closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// TimedOut reports whether the context has ended, or a deadline has passed.
func TimedOut(ctx context.Context, err error) bool {
	var timeout net.Error
	return ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// Cause is the text of an error without the addresses that wrap it, of which the
// local one differs each time.
func Cause(err error) string {
	var op *net.OpError
	for errors.As(err, &op) {
		err = op.Err
	}
	return err.Error()
}
