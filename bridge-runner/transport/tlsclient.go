// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// clientAuth records the use of the client certificate in a handshake. Servers send the same alert
// for different reasons, and these fields distinguish them.
type clientAuth struct {
	// certificates are the configured client certificates.
	certificates []tls.Certificate
	// requested is true if the server requested a client certificate.
	requested bool
	// sent is the certificate that was sent, nil if none was.
	sent *tls.Certificate
}

// getClientCertificate implements GetClientCertificate of [tls.Config]. It chooses the certificate
// that crypto/tls would choose without it.
func (a *clientAuth) getClientCertificate(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	a.requested = true
	for i := range a.certificates {
		if request.SupportsCertificate(&a.certificates[i]) == nil {
			a.sent = &a.certificates[i]
			return a.sent, nil
		}
	}
	return new(tls.Certificate), nil
}

// alertConn is a TLS connection that explains an alert before the first data. With TLS 1.3, the
// server verifies the client's certificate after the client has completed its handshake, so that
// the first Read may return the alert. A later alert is not about the handshake.
type alertConn struct {
	*tls.Conn
	auth *clientAuth
	// received is true if the server has sent data.
	received bool
}

// Read implements [net.Conn].
func (c *alertConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.received = c.received || n > 0
	if err != nil && !c.received {
		if alert := alertError(c.auth, err); alert != nil {
			err = alert
		}
	}
	return n, err
}

// AsAlert explains an error if it is a TLS alert by which the server ended the connection. For any
// other error it returns nil.
func AsAlert(err error) *Error {
	var known *Error
	if errors.As(err, &known) && known.Reason == v1alpha1.ReasonTLSFailed {
		return known
	}
	return alertError(&clientAuth{}, err)
}

// alertError explains a server's alert (RFC 8446 section 6.2). It returns nil if the error is not an
// alert.
func alertError(auth *clientAuth, err error) *Error {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return nil
	}
	alert := CauseText(err)
	return &Error{v1alpha1.ReasonTLSFailed, fmt.Sprintf("TLS: the server refused the handshake (%s); %s", alert, auth.hint(alert)), err}
}

// Texts of TLS alerts. Package crypto/tls exports no type by which they could be identified here.
const (
	alertProtocol     = "tls: no application protocol"
	alertName         = "tls: unrecognized name"
	alertVersion      = "tls: protocol version not supported"
	alertFailure      = "tls: handshake failure"
	alertInsufficient = "tls: insufficient security level"
	alertRequired     = "tls: certificate required"
	alertUnknownCA    = "tls: unknown certificate authority"
	alertExpired      = "tls: expired certificate"
	alertRevoked      = "tls: revoked certificate"
	alertBad          = "tls: bad certificate"
	alertUnsupported  = "tls: unsupported certificate"
	alertUnknown      = "tls: unknown certificate"
	alertDenied       = "tls: access denied"
	alertDecrypt      = "tls: error decrypting message"
)

// hint returns the remedy for an alert.
func (a *clientAuth) hint(alert string) string {
	switch alert {
	case alertProtocol:
		return "it supports none of the protocols in tls.alpn; set tls.alpn to a protocol that it supports"
	case alertName:
		return "set tls.serverName to a name that it serves"
	case alertVersion:
		return "enable TLS 1.2 or 1.3 on the server"
	case alertFailure, alertInsufficient:
		if !a.requested {
			return "it and the bridge have no cipher suite, curve or signature algorithm in common; allow ECDHE with AES-GCM or ChaCha20-Poly1305 on the server"
		}
		return a.certificateHint(alert)
	case alertRequired, alertUnknownCA, alertExpired, alertRevoked, alertBad, alertUnsupported, alertUnknown, alertDenied, alertDecrypt:
		return a.certificateHint(alert)
	}
	return "see the server's log"
}

// certificateHint returns the remedy for an alert that may be about the client certificate.
func (a *clientAuth) certificateHint(alert string) string {
	switch {
	case a.requested && len(a.certificates) == 0:
		return "it demands a client certificate; name a Secret with a client certificate in tls.certSecretRef"
	case a.requested && a.sent == nil:
		return fmt.Sprintf("it does not accept client certificates of the authority %s, which issued the client certificate in tls.certSecretRef; use a certificate of an authority that the server accepts", issuer(&a.certificates[0]))
	case alert == alertUnknownCA && a.sent != nil:
		return fmt.Sprintf("it does not trust %s, which issued the client certificate in tls.certSecretRef; add that authority on the server, or the intermediate certificates to tls.crt", issuer(a.sent))
	case a.sent != nil && certificateFault(a.sent, time.Now()) != "":
		return "the client certificate in tls.certSecretRef " + certificateFault(a.sent, time.Now())
	case alert == alertExpired:
		return "the client certificate in tls.certSecretRef has expired, or is not valid yet by the server's clock; renew it"
	case alert == alertRevoked:
		return "the client certificate in tls.certSecretRef is revoked; use another certificate"
	}
	return "check the client certificate in tls.certSecretRef"
}

// certificateFault says why no server accepts a client certificate, and what to do. It is empty if
// the certificate itself has no fault. Servers use the same alert for several of these faults.
func certificateFault(chain *tls.Certificate, now time.Time) string {
	if len(chain.Certificate) == 0 {
		return ""
	}
	leaf, err := x509.ParseCertificate(chain.Certificate[0])
	if err != nil {
		return ""
	}
	const layout = time.RFC3339
	forClients := len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) == 0 ||
		slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Sprintf("expired at %s; renew it", leaf.NotAfter.UTC().Format(layout))
	case now.Before(leaf.NotBefore):
		return fmt.Sprintf("is not valid before %s; use a valid certificate, or check the clock of the runner's node", leaf.NotBefore.UTC().Format(layout))
	case !forClients:
		return "is not valid for clients; reissue it with the extended key usage clientAuth"
	}
	return ""
}

// issuer returns the name of the authority that issued the last certificate of a chain.
func issuer(chain *tls.Certificate) string {
	if len(chain.Certificate) > 0 {
		if cert, err := x509.ParseCertificate(chain.Certificate[len(chain.Certificate)-1]); err == nil {
			return quotedName(cert.Issuer)
		}
	}
	return "the authority"
}
