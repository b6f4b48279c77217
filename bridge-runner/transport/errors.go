// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
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

// TLS alerts by their text: package crypto/tls has no exported type for them here.
const (
	alertProtocol = "tls: no application protocol"
	alertName     = "tls: unrecognized name"
	alertVersion  = "tls: protocol version not supported"
)

// tlsError explains why the TLS handshake failed.
func tlsError(ctx context.Context, err error) *Error {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		header   tls.RecordHeaderError
	)
	text := Cause(err)
	switch {
	case errors.As(err, &unknown):
		text = "the server's certificate is signed by an unknown authority; name the authority's certificate in tls.caRef"
	case errors.As(err, &hostname):
		text = fmt.Sprintf("the server's certificate is not valid for the name %q; it bears %s; set tls.serverName to a name that it bears", hostname.Host, names(hostname.Certificate))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		text = "the server's certificate has expired or is not yet valid; renew it, or check the clocks"
	case errors.As(err, &header):
		text = "the server does not speak TLS there; check the URL's scheme and port"
	case Alert(err) != nil:
		return Alert(err)
	case TimedOut(ctx, err):
		return &Error{v1alpha1.ReasonConnectTimeout, "the server did not complete the TLS handshake within connectTimeoutSeconds", err}
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.ErrUnexpectedEOF):
		text = "the server closed the connection during the handshake; check that it expects TLS there"
	case strings.HasPrefix(text, "tls: server selected unsupported protocol version"):
		text = "the server speaks neither TLS 1.2 nor 1.3; older versions are not safe and not supported"
	}
	return &Error{v1alpha1.ReasonTLSFailed, "TLS: " + text, err}
}

// Alert explains an error by which the server ended a TLS connection, or returns nil
// for any other. With TLS 1.3 the server judges the client's certificate after the
// client's handshake is over, so that the first Read can return it.
func Alert(err error) *Error {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return nil
	}
	alert := Cause(err)
	hint := "check the client certificate in tls.certSecretRef"
	switch alert {
	case alertProtocol:
		hint = "it speaks none of the protocols in tls.alpn"
	case alertName:
		hint = "set tls.serverName to a name that it serves"
	case alertVersion:
		hint = "it has to speak TLS 1.2 or 1.3"
	}
	return &Error{v1alpha1.ReasonTLSFailed, fmt.Sprintf("TLS: the server refused the handshake (%s); %s", alert, hint), err}
}

// names lists what a certificate is valid for.
func names(cert *x509.Certificate) string {
	all := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "no names"
	}
	return strings.Join(all, ", ")
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
