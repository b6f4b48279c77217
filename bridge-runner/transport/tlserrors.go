// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"
)

// tlsError explains why the TLS handshake failed.
func tlsError(ctx context.Context, settings *tls.Config, auth *clientAuth, err error) *Error {
	var header tls.RecordHeaderError
	failed := certificateProblem(settings, err)
	switch {
	case failed != nil:
	case errors.As(err, &header):
		failed = &Error{Kind: notTLS(header.RecordHeader)}
	case isAlert(err):
		return alertError(auth, err)
	case TimedOut(ctx, err):
		failed = &Error{Kind: TLSTimeout}
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.ErrUnexpectedEOF):
		failed = &Error{Kind: TLSClosed}
	case strings.HasPrefix(CauseText(err), "tls: server selected unsupported protocol version"):
		failed = &Error{Kind: TLSVersion}
	default:
		failed = &Error{Kind: TLSFailed, Detail: CauseText(err)}
	}
	failed.Err = err
	return failed
}

// notTLS says which protocol the server speaks instead of TLS, according to the first bytes that it
// sent.
func notTLS(first [5]byte) Kind {
	switch {
	case bytes.HasPrefix(first[:], []byte("HTTP/")):
		return SpeaksHTTP
	case first[0] == 0x20: // CONNACK
		return SpeaksMQTT
	}
	return SpeaksOther
}

// certificateProblem explains why the server's certificate was not accepted. It is nil if err has
// another reason.
func certificateProblem(settings *tls.Config, err error) *Error {
	var (
		unverified *tls.CertificateVerificationError
		unknown    x509.UnknownAuthorityError
		hostname   x509.HostnameError
		invalid    x509.CertificateInvalidError
		roots      x509.SystemRootsError
	)
	if !errors.As(err, &unverified) || len(unverified.UnverifiedCertificates) == 0 {
		return nil
	}
	leaf := unverified.UnverifiedCertificates[0]
	switch {
	case errors.As(err, &unknown):
		return unknownAuthority(settings, leaf, &unknown)
	case errors.As(err, &hostname):
		return wrongName(&hostname)
	case errors.As(err, &invalid):
		return invalidCertificate(settings, leaf, &invalid)
	case errors.As(err, &roots):
		return &Error{Kind: NoSystemAuthorities}
	}
	return &Error{Kind: CertificateNotAccepted, Detail: CauseText(unverified.Err)}
}

func unknownAuthority(settings *tls.Config, leaf *x509.Certificate, err *x509.UnknownAuthorityError) *Error {
	top := leaf // the last certificate of the chain that the server sent
	if err.Cert != nil {
		top = err.Cert
	}
	switch {
	case bytes.Equal(leaf.RawSubject, leaf.RawIssuer):
		return &Error{Kind: CertificateSelfSigned, Name: leaf.Issuer.String()}
	case strings.Contains(err.Error(), "cannot sign this kind of certificate"):
		return &Error{Kind: CertificateIssuerNoCA, Name: top.Issuer.String()}
	case settings.RootCAs == nil:
		return &Error{Kind: CertificateNotInSystem, Name: top.Issuer.String()}
	case strings.Contains(err.Error(), "candidate authority certificate"):
		return &Error{Kind: CertificateOtherKey, Name: top.Issuer.String()}
	}
	return &Error{Kind: CertificateUnknown, Name: top.Issuer.String()}
}

func wrongName(err *x509.HostnameError) *Error {
	cert := err.Certificate
	noNames := len(cert.DNSNames)+len(cert.IPAddresses) == 0
	switch noSAN := noNames && len(cert.EmailAddresses)+len(cert.URIs) == 0; {
	case noSAN && cert.Subject.CommonName != "":
		return &Error{Kind: CertificateOnlyCommonName, Host: err.Host, Name: cert.Subject.CommonName}
	case noNames:
		return &Error{Kind: CertificateNoNames, Host: err.Host}
	case net.ParseIP(err.Host) != nil:
		return &Error{Kind: CertificateOtherAddress, Host: err.Host, Names: certificateNames(cert)}
	}
	return &Error{Kind: CertificateOtherName, Host: err.Host, Names: certificateNames(cert)}
}

func invalidCertificate(settings *tls.Config, leaf *x509.Certificate, err *x509.CertificateInvalidError) *Error {
	cert, authority := err.Cert, ""
	if cert == nil {
		cert = leaf
	}
	if !cert.Equal(leaf) {
		authority = cert.Subject.String()
	}
	now := time.Now()
	if settings.Time != nil {
		now = settings.Time()
	}
	switch err.Reason {
	case x509.Expired:
		if now.Before(cert.NotBefore) {
			return &Error{Kind: CertificateNotYetValid, Name: authority, At: cert.NotBefore}
		}
		return &Error{Kind: CertificateExpired, Name: authority, At: cert.NotAfter}
	case x509.IncompatibleUsage:
		return &Error{Kind: CertificateNotForServers, Name: authority}
	case x509.NotAuthorizedToSign:
		return &Error{Kind: CertificateIssuerNoCA, Name: cert.Subject.String()}
	case x509.TooManyIntermediates:
		return &Error{Kind: CertificateChainTooLong}
	case x509.CANotAuthorizedForThisName, x509.NameConstraintsWithoutSANs, x509.UnconstrainedName, x509.CANotAuthorizedForExtKeyUsage:
		return &Error{Kind: CertificateNameConstraints}
	default:
		return &Error{Kind: CertificateNotAccepted, Detail: CauseText(err)}
	}
}

// certificateNames lists the names and addresses for which a certificate is valid.
func certificateNames(cert *x509.Certificate) []string {
	all := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}
