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

// clientAuth is what became of the client certificate in a handshake. Servers refuse
// with the same alert for different reasons, which it tells apart.
type clientAuth struct {
	certificates []tls.Certificate // as configured
	demanded     bool              // the server asked for one
	sent         *tls.Certificate  // nil: none was
}

// choose implements GetClientCertificate of [tls.Config] in the way in which crypto/tls
// chooses without it.
func (a *clientAuth) choose(demand *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	a.demanded = true
	for i := range a.certificates {
		if demand.SupportsCertificate(&a.certificates[i]) == nil {
			a.sent = &a.certificates[i]
			return a.sent, nil
		}
	}
	return new(tls.Certificate), nil
}

// secured is a TLS connection whose first alert is explained. With TLS 1.3 the server
// judges the client's certificate after the client's handshake is over, so that the
// first Read can return its alert. A later one is not about the handshake.
type secured struct {
	*tls.Conn
	auth     *clientAuth
	accepted bool // the server has sent something
}

// Read implements [net.Conn].
func (c *secured) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.accepted = c.accepted || n > 0
	if err != nil && !c.accepted {
		if alert := alertError(c.auth, err); alert != nil {
			err = alert
		}
	}
	return n, err
}

// Alert explains an error by which the server ended a TLS connection, or returns nil
// for any other.
func Alert(err error) *Error {
	var told *Error
	if errors.As(err, &told) && told.Reason == v1alpha1.ReasonTLSFailed {
		return told
	}
	return alertError(&clientAuth{}, err)
}

// alertError explains a server's alert (RFC 8446 section 6.2), or returns nil if the
// error is none.
func alertError(auth *clientAuth, err error) *Error {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return nil
	}
	alert := Cause(err)
	return &Error{v1alpha1.ReasonTLSFailed, fmt.Sprintf("TLS: the server refused the handshake (%s); %s", alert, auth.hint(alert)), err}
}

// TLS alerts by their text: package crypto/tls has no exported type for them here.
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

// hint says what to do about an alert.
func (a *clientAuth) hint(alert string) string {
	switch alert {
	case alertProtocol:
		return "it speaks none of the protocols in tls.alpn"
	case alertName:
		return "set tls.serverName to a name that it serves"
	case alertVersion:
		return "it has to speak TLS 1.2 or 1.3"
	case alertFailure, alertInsufficient:
		if !a.demanded {
			return "it and the bridge have no cipher suite, curve or signature algorithm in common; allow ECDHE with AES-GCM or ChaCha20-Poly1305 on the server"
		}
		return a.certificateHint(alert)
	case alertRequired, alertUnknownCA, alertExpired, alertRevoked, alertBad, alertUnsupported, alertUnknown, alertDenied, alertDecrypt:
		return a.certificateHint(alert)
	}
	return "look at its log"
}

// certificateHint says what to do about an alert that may be about the client
// certificate.
func (a *clientAuth) certificateHint(alert string) string {
	switch {
	case a.demanded && len(a.certificates) == 0:
		return "it demands a client certificate; name a Secret that holds one in tls.certSecretRef"
	case a.demanded && a.sent == nil:
		return fmt.Sprintf("it demands a client certificate of another authority than %s, which issued the client certificate in tls.certSecretRef; use one that its authorities have issued", issuer(&a.certificates[0]))
	case alert == alertUnknownCA && a.sent != nil:
		return fmt.Sprintf("it does not trust %s, which issued the client certificate in tls.certSecretRef; add that authority on the server, or the intermediate certificates to tls.crt", issuer(a.sent))
	case a.sent != nil && unfit(a.sent, time.Now()) != "":
		return "the client certificate in tls.certSecretRef " + unfit(a.sent, time.Now())
	case alert == alertExpired:
		return "the client certificate in tls.certSecretRef has expired, or is not valid yet by the server's clock; renew it"
	case alert == alertRevoked:
		return "the client certificate in tls.certSecretRef is revoked; use another one"
	}
	return "check the client certificate in tls.certSecretRef"
}

// unfit says why no server accepts a client certificate, and what to do. It is empty if
// nothing is wrong with the certificate itself. Servers use one alert for several of these
// faults.
func unfit(chain *tls.Certificate, now time.Time) string {
	if len(chain.Certificate) == 0 {
		return ""
	}
	own, err := x509.ParseCertificate(chain.Certificate[0])
	if err != nil {
		return ""
	}
	const day = time.RFC3339
	forClients := len(own.ExtKeyUsage)+len(own.UnknownExtKeyUsage) == 0 ||
		slices.Contains(own.ExtKeyUsage, x509.ExtKeyUsageClientAuth) || slices.Contains(own.ExtKeyUsage, x509.ExtKeyUsageAny)
	switch {
	case now.After(own.NotAfter):
		return fmt.Sprintf("has expired at %s; renew it", own.NotAfter.UTC().Format(day))
	case now.Before(own.NotBefore):
		return fmt.Sprintf("is not valid before %s; use one that is valid, or check the clock of the runner's node", own.NotBefore.UTC().Format(day))
	case !forClients:
		return "is not one for clients; reissue it with the extended key usage clientAuth"
	}
	return ""
}

// issuer names the authority that issued the last certificate of a chain.
func issuer(chain *tls.Certificate) string {
	if len(chain.Certificate) > 0 {
		if cert, err := x509.ParseCertificate(chain.Certificate[len(chain.Certificate)-1]); err == nil {
			return quotedName(cert.Issuer)
		}
	}
	return "the authority"
}
