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
	"time"
)

// Error is the reason why a connection failed or ended: a kind and the facts that the kind has. The
// same event always has the same facts (without a local port or the current time), because a status
// that contains them is written only when it changes.
type Error struct {
	Kind Kind
	// Server is the host and port of the server.
	Server string
	// Proxy is the host and port of the proxy.
	Proxy string
	// Host is a host name or an IP address.
	Host string
	// Name is a name in a certificate.
	Name string
	// Names are the names and addresses for which a certificate is valid.
	Names []string
	// Detail is a text of the operating system, a library or the other end.
	Detail string
	// Code is a code that the other end sent.
	Code int
	// At is the beginning or end of a certificate's validity.
	At time.Time
	// Err is the cause. It may be nil.
	Err error
}

// Error returns the kind and the facts, for developers.
func (e *Error) Error() string {
	text := string(e.Kind)
	for _, fact := range append([]string{e.Server, e.Proxy, e.Host, e.Name, e.Detail}, e.Names...) {
		if fact != "" {
			text += fmt.Sprintf(" %q", fact)
		}
	}
	if e.Code != 0 {
		text += fmt.Sprintf(" %d", e.Code)
	}
	if !e.At.IsZero() {
		text += " " + e.At.UTC().Format(time.RFC3339)
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// mask masks the secrets of the request in all facts.
func (e *Error) mask(cfg *Config) {
	for _, fact := range []*string{&e.Server, &e.Proxy, &e.Host, &e.Name, &e.Detail} {
		*fact = cfg.Mask(*fact)
	}
	for i := range e.Names {
		e.Names[i] = cfg.Mask(e.Names[i])
	}
}

// tcpError explains why the TCP connection failed.
func tcpError(ctx context.Context, err error) *Error {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return &Error{Kind: NameNotResolved, Host: dns.Name, Detail: dnsCause(dns), Err: err}
	case TimedOut(ctx, err):
		return &Error{Kind: ConnectTimeout, Err: err}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{Kind: ConnectionRefused, Err: err}
	case errors.Is(err, syscall.ECONNRESET):
		return &Error{Kind: ConnectionReset, Err: err}
	}
	return &Error{Kind: HostUnreachable, Detail: CauseText(err), Err: err}
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
