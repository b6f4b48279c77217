// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Error is why a session could not be opened or has ended. Its text is the same
// each time that the same thing happens (it holds no local port, no time), so that
// it can stand in a status that is written on changes only.
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

// dialError explains why no connection could be made.
func dialError(ctx context.Context, err error) *Error {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && (dns.IsNotFound || ctx.Err() == nil):
		why := "the name server did not answer" // its own words hold ports that change
		if dns.IsNotFound {
			why = "no such host"
		}
		return &Error{v1alpha1.ReasonNameNotResolved, fmt.Sprintf("the name %q could not be resolved (%s); check the URL's host and the cluster's DNS", dns.Name, why), err}
	case timedOut(ctx, err):
		return &Error{v1alpha1.ReasonConnectTimeout, "no connection within connectTimeoutSeconds; check that the host is up and that no firewall or network policy drops the packets", err}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{v1alpha1.ReasonConnectionRefused, "connection refused: nothing listens there; check the URL's port and that the server runs", err}
	case errors.Is(err, syscall.ECONNRESET):
		return &Error{v1alpha1.ReasonConnectionClosed, "the connection was reset while it was made", err}
	}
	return &Error{v1alpha1.ReasonHostUnreachable, "the host cannot be reached: " + cause(err) + "; check routes and network policies", err}
}

// tlsError explains why the TLS handshake failed.
func tlsError(ctx context.Context, err error) *Error {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		header   tls.RecordHeaderError
	)
	text := cause(err)
	switch {
	case errors.As(err, &unknown):
		text = "the server's certificate is signed by an unknown authority; name the authority's certificate in tls.caRef"
	case errors.As(err, &hostname):
		text = fmt.Sprintf("the server's certificate is not valid for the name %q; it bears %s; set tls.serverName to a name that it bears", hostname.Host, names(hostname.Certificate))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		text = "the server's certificate has expired or is not yet valid; renew it, or check the clocks"
	case errors.As(err, &header):
		text = "the server does not speak TLS there; check the URL's scheme and port"
	case refusedByAlert(err):
		text = fmt.Sprintf("the server refused the handshake (%s); check the client certificate in tls.certSecretRef", cause(err))
	case timedOut(ctx, err):
		return &Error{v1alpha1.ReasonConnectTimeout, "the server did not complete the TLS handshake within connectTimeoutSeconds", err}
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.ErrUnexpectedEOF):
		text = "the server closed the connection during the handshake; check that it expects TLS there"
	}
	return &Error{v1alpha1.ReasonTLSFailed, "TLS: " + text, err}
}

// connectError explains why CONNECT failed: by CONNACK's return code (MQTT 3.1.1
// section 3.2.2.3) or without one.
func (s *Session) connectError(ctx context.Context, code byte, err error) *Error {
	login := "no credentials are set; name a Secret in credentials.secretRef"
	if s.cfg.Username != "" {
		login = "check the user name and password in " + s.cfg.LoginFrom
	}
	var protocol protocolError
	switch {
	case code == packets.ErrRefusedBadUsernameOrPassword:
		return &Error{v1alpha1.ReasonAuthenticationFailed, "the server refuses the user name or password (CONNACK 4); " + login, err}
	case code == packets.ErrRefusedNotAuthorised:
		return &Error{v1alpha1.ReasonAuthenticationFailed, "the server does not authorise the client (CONNACK 5); " + login + ", and look at the server's rules for this client identifier", err}
	case code == packets.ErrRefusedIDRejected:
		return &Error{v1alpha1.ReasonClientIDRejected, "the server rejects the client identifier (CONNACK 2); set clientID to one that it accepts", err}
	case code == packets.ErrRefusedBadProtocolVersion:
		return &Error{v1alpha1.ReasonProtocolVersionRefused, "the server does not speak MQTT 3.1.1 (CONNACK 1)", err}
	case code == packets.ErrRefusedServerUnavailable:
		return &Error{v1alpha1.ReasonServerUnavailable, "the server says that it is unavailable (CONNACK 3)", err}
	case errors.As(err, &protocol):
		return &Error{v1alpha1.ReasonProtocolError, protocol.Error() + "; check the URL's scheme and port", err}
	case refusedByAlert(err):
		// With TLS 1.3 the server judges the client's certificate after the
		// client's handshake is over.
		return tlsError(ctx, err)
	case timedOut(ctx, err):
		return &Error{v1alpha1.ReasonConnectTimeout, "the server accepted the connection and did not answer within connectTimeoutSeconds", err}
	case closed(err):
		return &Error{v1alpha1.ReasonConnectionClosed, "the server closed the connection instead of answering CONNECT; check the URL's scheme and port, and the server's log", err}
	}
	return &Error{v1alpha1.ReasonProtocolError, "the server's answer to CONNECT is not one of MQTT 3.1.1: " + cause(err), err}
}

// lostError explains why an open session ended.
func lostError(err error) *Error {
	var protocol protocolError
	switch {
	case errors.As(err, &protocol):
		return &Error{v1alpha1.ReasonProtocolError, protocol.Error(), err}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{v1alpha1.ReasonAckTimeout, "the server has taken no data for ackTimeoutSeconds", err}
	case closed(err):
		return &Error{v1alpha1.ReasonConnectionClosed, "the server or the network closed the connection", err}
	}
	return &Error{v1alpha1.ReasonConnectionClosed, "the connection failed: " + cause(err), err}
}

// refusedByAlert reports whether the server ended a TLS connection by an alert.
// Package crypto/tls has no exported type for it.
func refusedByAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
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

func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func timedOut(ctx context.Context, err error) bool {
	var timeout net.Error
	return ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// cause is the text of an error without the addresses that wrap it, of which the
// local one differs each time.
func cause(err error) string {
	var op *net.OpError
	for errors.As(err, &op) {
		err = op.Err
	}
	return err.Error()
}
