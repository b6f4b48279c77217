// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"time"
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
	if errors.As(err, &known) && isAlert(known.Err) {
		return known
	}
	return alertError(&clientAuth{}, err)
}

// alertError explains a server's alert (RFC 8446 section 6.2). It returns nil if the error is not an
// alert.
func alertError(auth *clientAuth, err error) *Error {
	if !isAlert(err) {
		return nil
	}
	failed := auth.explain(CauseText(err))
	failed.Detail, failed.Err = CauseText(err), err
	return failed
}

func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
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

// explain returns the meaning of an alert: the kind, and the facts of the client certificate.
func (a *clientAuth) explain(alert string) *Error {
	switch alert {
	case alertProtocol:
		return &Error{Kind: AlertProtocol}
	case alertName:
		return &Error{Kind: AlertServerName}
	case alertVersion:
		return &Error{Kind: AlertVersion}
	case alertFailure, alertInsufficient:
		if !a.requested {
			return &Error{Kind: AlertNothingInCommon}
		}
		return a.explainCertificate(alert)
	case alertRequired, alertUnknownCA, alertExpired, alertRevoked, alertBad, alertUnsupported, alertUnknown, alertDenied, alertDecrypt:
		return a.explainCertificate(alert)
	}
	return &Error{Kind: AlertOther}
}

// explainCertificate returns the meaning of an alert that may be about the client certificate.
func (a *clientAuth) explainCertificate(alert string) *Error {
	switch {
	case a.requested && len(a.certificates) == 0:
		return &Error{Kind: AlertCertificateRequired}
	case a.requested && a.sent == nil:
		return &Error{Kind: AlertOtherAuthority, Name: issuer(&a.certificates[0])}
	case alert == alertUnknownCA && a.sent != nil:
		return &Error{Kind: AlertIssuerNotTrusted, Name: issuer(a.sent)}
	case a.sent != nil:
		if fault := certificateFault(a.sent, time.Now()); fault != nil {
			return fault
		}
	}
	switch alert {
	case alertExpired:
		return &Error{Kind: AlertCertificateExpired}
	case alertRevoked:
		return &Error{Kind: AlertCertificateRevoked}
	}
	return &Error{Kind: AlertCertificate}
}

// certificateFault says why no server accepts a client certificate. It is nil if the certificate
// itself has no fault. Servers use the same alert for several of these faults.
func certificateFault(chain *tls.Certificate, now time.Time) *Error {
	if len(chain.Certificate) == 0 {
		return nil
	}
	leaf, err := x509.ParseCertificate(chain.Certificate[0])
	if err != nil {
		return nil
	}
	forClients := len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) == 0 ||
		slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
	switch {
	case now.After(leaf.NotAfter):
		return &Error{Kind: AlertCertificateExpiredAt, At: leaf.NotAfter}
	case now.Before(leaf.NotBefore):
		return &Error{Kind: AlertCertificateTooEarly, At: leaf.NotBefore}
	case !forClients:
		return &Error{Kind: AlertCertificateUsage}
	}
	return nil
}

// issuer returns the name of the authority that issued the last certificate of a chain. It is empty if
// the certificate cannot be read.
func issuer(chain *tls.Certificate) string {
	if len(chain.Certificate) > 0 {
		if cert, err := x509.ParseCertificate(chain.Certificate[len(chain.Certificate)-1]); err == nil {
			return cert.Issuer.String()
		}
	}
	return ""
}
