// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// tlsError explains why the TLS handshake failed.
func tlsError(ctx context.Context, settings *tls.Config, auth *clientAuth, err error) *Error {
	var header tls.RecordHeaderError
	text := certificateProblem(settings, err)
	switch {
	case text != "":
	case errors.As(err, &header):
		text = notTLS(header.RecordHeader)
	case alertError(auth, err) != nil:
		return alertError(auth, err)
	case TimedOut(ctx, err):
		return &Error{v1alpha1.ReasonConnectTimeout, "the server does not complete the TLS handshake within connectTimeoutSeconds; check that it expects TLS on this port", err}
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.ErrUnexpectedEOF):
		text = "the server closed the connection during the handshake; check that it expects TLS on this port"
	default:
		text = CauseText(err)
		if strings.HasPrefix(text, "tls: server selected unsupported protocol version") {
			text = "the server supports neither TLS 1.2 nor TLS 1.3; enable one of them on the server"
		}
	}
	return &Error{v1alpha1.ReasonTLSFailed, "TLS: " + text, err}
}

// notTLS says which protocol the server speaks instead of TLS, according to the first bytes that it
// sent.
func notTLS(first [5]byte) string {
	switch {
	case bytes.HasPrefix(first[:], []byte("HTTP/")):
		return "the server speaks HTTP without TLS on this port; use ws:// in the URL, or the port of the server's TLS listener"
	case first[0] == 0x20: // CONNACK
		return "the server speaks MQTT without TLS on this port; use mqtt:// in the URL, or the port of the server's TLS listener"
	}
	return "the server does not speak TLS on this port; check the URL's scheme and port"
}

// certificateProblem explains why the server's certificate was not accepted. It is empty if err has
// another reason.
func certificateProblem(settings *tls.Config, err error) string {
	var (
		unverified *tls.CertificateVerificationError
		unknown    x509.UnknownAuthorityError
		hostname   x509.HostnameError
		invalid    x509.CertificateInvalidError
		roots      x509.SystemRootsError
	)
	if !errors.As(err, &unverified) || len(unverified.UnverifiedCertificates) == 0 {
		return ""
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
		return "the runner has no system certificate authorities; name a ConfigMap or Secret with the authority's certificate in tls.caRef"
	}
	return "the server's certificate is not accepted: " + CauseText(unverified.Err)
}

func unknownAuthority(settings *tls.Config, leaf *x509.Certificate, err *x509.UnknownAuthorityError) string {
	top := leaf // the last certificate of the chain that the server sent
	if err.Cert != nil {
		top = err.Cert
	}
	switch {
	case bytes.Equal(leaf.RawSubject, leaf.RawIssuer):
		return fmt.Sprintf("the server's certificate is self-signed by %s, an unknown authority; put this certificate into the key ca.crt of the ConfigMap or Secret in tls.caRef", quotedName(leaf.Issuer))
	case strings.Contains(err.Error(), "cannot sign this kind of certificate"):
		return notAnAuthority(top.Issuer)
	case settings.RootCAs == nil:
		return fmt.Sprintf("the server's certificate is signed by an unknown authority, %s; name a ConfigMap or Secret with the authority's certificate in tls.caRef", quotedName(top.Issuer))
	case strings.Contains(err.Error(), "candidate authority certificate"):
		return fmt.Sprintf("the server's certificate is signed by an unknown authority, %s; the certificate of this name in tls.caRef has another key or is not an authority's; put the certificate that signed the server's certificate into tls.caRef", quotedName(top.Issuer))
	}
	return fmt.Sprintf("the server's certificate is signed by an unknown authority, %s; add the authority's certificate to the ConfigMap or Secret in tls.caRef, or have the server send its intermediate certificates", quotedName(top.Issuer))
}

func notAnAuthority(name pkix.Name) string {
	return fmt.Sprintf("the certificate %s signed another certificate but is not an authority's; reissue it with the basic constraint CA:TRUE", quotedName(name))
}

func wrongName(err *x509.HostnameError) string {
	cert, host := err.Certificate, err.Host
	name := "DNS:" + host
	ip := net.ParseIP(host)
	if ip != nil {
		name = "IP:" + host
	}
	noNames := len(cert.DNSNames)+len(cert.IPAddresses) == 0
	switch noSAN := noNames && len(cert.EmailAddresses)+len(cert.URIs) == 0; {
	case noSAN && cert.Subject.CommonName != "":
		return fmt.Sprintf("the server's certificate has only a common name, %s, and no subjectAltName, which is required; reissue it with the subjectAltName %s", quoted(cert.Subject.CommonName), name)
	case noNames:
		return fmt.Sprintf("the server's certificate contains no names of hosts; reissue it with the subjectAltName %s", name)
	case ip != nil:
		return fmt.Sprintf("the server's certificate is not valid for the IP address %s; it is valid for %s; use one of these names in the URL or in tls.serverName, or reissue it with the subjectAltName %s", host, certificateNames(cert), name)
	}
	return fmt.Sprintf("the server's certificate is not valid for the name %q; it is valid for %s; set tls.serverName to one of these names", host, certificateNames(cert))
}

func invalidCertificate(settings *tls.Config, leaf *x509.Certificate, err *x509.CertificateInvalidError) string {
	cert, subject := err.Cert, "the server's certificate"
	if cert == nil {
		cert = leaf
	}
	if !cert.Equal(leaf) {
		subject = fmt.Sprintf("the certificate of the authority %s", quotedName(cert.Subject))
	}
	now := time.Now()
	if settings.Time != nil {
		now = settings.Time()
	}
	const layout = time.RFC3339
	switch err.Reason {
	case x509.Expired:
		if now.Before(cert.NotBefore) {
			return fmt.Sprintf("%s is not yet valid: it is valid from %s; check the clock of the runner's node, or reissue the certificate", subject, cert.NotBefore.UTC().Format(layout))
		}
		return fmt.Sprintf("%s expired at %s; renew it, or check the clock of the runner's node", subject, cert.NotAfter.UTC().Format(layout))
	case x509.IncompatibleUsage:
		return subject + " is not valid for servers; reissue it with the extended key usage serverAuth"
	case x509.NotAuthorizedToSign:
		return notAnAuthority(cert.Subject)
	case x509.TooManyIntermediates:
		return "the chain of the server's certificate is longer than an authority in it allows (path length constraint); use a shorter chain"
	case x509.CANotAuthorizedForThisName, x509.NameConstraintsWithoutSANs, x509.UnconstrainedName, x509.CANotAuthorizedForExtKeyUsage:
		return "the name constraints or key usages of an authority do not permit the server's certificate; have another authority issue it"
	default:
		return "the server's certificate is not accepted: " + CauseText(err)
	}
}

// Limits for texts that come from certificates.
const (
	maxNames = 10  // number of names
	maxText  = 128 // length of a name, in bytes
)

// certificateNames lists the names and addresses for which a certificate is valid.
func certificateNames(cert *x509.Certificate) string {
	all := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "no names"
	}
	more := ""
	if len(all) > maxNames {
		all, more = all[:maxNames], fmt.Sprintf(" and %d more", len(all)-maxNames)
	}
	return strings.Join(all, ", ") + more
}

func quotedName(name pkix.Name) string { return quoted(name.String()) }

func quoted(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return fmt.Sprintf("%q", text)
}
