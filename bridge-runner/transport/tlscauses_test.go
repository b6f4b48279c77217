// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// issued is a certificate with its key and chain, without the root certificate.
type issued struct {
	*mqtttest.Issued
	tls tls.Certificate
}

// thisHour is the time that the validity of these certificates is relative to. It is a whole hour,
// because messages contain no fractions of a second.
var thisHour = time.Now().Truncate(time.Hour).UTC()

// issue issues a certificate for localhost, with changes. If a is nil, the certificate is self-signed.
func (a *issued) issue(t *testing.T, name string, changes ...func(*x509.Certificate)) *issued {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: thisHour.Add(-24 * time.Hour), NotAfter: thisHour.Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	for _, change := range changes {
		change(template)
	}
	var by *mqtttest.Issued
	if a != nil {
		by = a.Issued
	}
	made := mqtttest.Issue(t, template, by)
	out := &issued{made, tls.Certificate{Certificate: [][]byte{made.Cert.Raw}, PrivateKey: made.Key}}
	if a != nil && !bytes.Equal(a.Cert.RawSubject, a.Cert.RawIssuer) {
		out.tls.Certificate = append(out.tls.Certificate, a.tls.Certificate...)
	}
	return out
}

// leafOnly returns the certificate without its chain.
func (a *issued) leafOnly() tls.Certificate {
	return tls.Certificate{Certificate: a.tls.Certificate[:1], PrivateKey: a.Key}
}

func (a *issued) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.Cert)
	return p
}

func authority(c *x509.Certificate) {
	c.IsCA, c.KeyUsage, c.DNSNames, c.ExtKeyUsage = true, x509.KeyUsageCertSign, nil, nil
}

func named(dns ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = dns }
}

func valid(from, to time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = thisHour.Add(from), thisHour.Add(to) }
}

func TestTLS_BadServerCertificate_ReportsReasonAndRemedy(t *testing.T) {
	root := (*issued)(nil).issue(t, "root", authority)
	middle := root.issue(t, "middle", authority)
	expired, early := root.issue(t, "middle", authority, valid(-48*time.Hour, -24*time.Hour)), root.issue(t, "middle", authority, valid(24*time.Hour, 48*time.Hour))
	self := (*issued)(nil).issue(t, "self")
	many := make([]string, 12)
	for i := range many {
		many[i] = fmt.Sprintf("n%d.example", i)
	}
	at := func(d time.Duration) string { return thisHour.Add(d).Format(time.RFC3339) }
	for name, c := range map[string]struct {
		server  tls.Certificate
		trusted *x509.CertPool
		host    string
		text    string
	}{
		"common name only":             {root.issue(t, "localhost", named()).tls, root.pool(), "localhost", `the server's certificate has only a common name, "localhost", and no subjectAltName, which is required; reissue it with the subjectAltName DNS:localhost`},
		"common name only, another":    {root.issue(t, "other.example", named()).tls, root.pool(), "localhost", `the server's certificate has only a common name, "other.example", and no subjectAltName, which is required; reissue it with the subjectAltName DNS:localhost`},
		"common name only, by address": {root.issue(t, "127.0.0.1", named()).tls, root.pool(), "127.0.0.1", `the server's certificate has only a common name, "127.0.0.1", and no subjectAltName, which is required; reissue it with the subjectAltName IP:127.0.0.1`},
		"no names":                     {root.issue(t, "", named()).tls, root.pool(), "localhost", `the server's certificate contains no names of hosts; reissue it with the subjectAltName DNS:localhost`},
		"names of other kinds only":    {root.issue(t, "x", named(), func(c *x509.Certificate) { c.EmailAddresses = []string{"a@b.example"} }).tls, root.pool(), "localhost", `the server's certificate contains no names of hosts; reissue it with the subjectAltName DNS:localhost`},
		"another name":                 {root.issue(t, "x", named("a.example", "b.example")).tls, root.pool(), "localhost", `the server's certificate is not valid for the name "localhost"; it is valid for a.example, b.example; set tls.serverName to one of these names`},
		"many other names":             {root.issue(t, "x", named(many...)).tls, root.pool(), "localhost", `the server's certificate is not valid for the name "localhost"; it is valid for ` + strings.Join(many[:10], ", ") + ` and 2 more; set tls.serverName to one of these names`},
		"an address without one":       {root.issue(t, "x").tls, root.pool(), "127.0.0.1", `the server's certificate is not valid for the IP address 127.0.0.1; it is valid for localhost; use one of these names in the URL or in tls.serverName, or reissue it with the subjectAltName IP:127.0.0.1`},
		"an IPv6 address with another": {root.issue(t, "x", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} }).tls, root.pool(), "::1", `the server's certificate is not valid for the IP address ::1; it is valid for localhost, 10.0.0.1; use one of these names in the URL or in tls.serverName, or reissue it with the subjectAltName IP:::1`},
		"expired":                      {root.issue(t, "x", valid(-48*time.Hour, -24*time.Hour)).tls, root.pool(), "localhost", "the server's certificate expired at " + at(-24*time.Hour) + "; renew it, or check the clock of the runner's machine"},
		"not yet valid":                {root.issue(t, "x", valid(24*time.Hour, 48*time.Hour)).tls, root.pool(), "localhost", "the server's certificate is not yet valid: it is valid from " + at(24*time.Hour) + "; check the clock of the runner's machine, or reissue the certificate"},
		"authority expired":            {expired.issue(t, "x").tls, root.pool(), "localhost", `the certificate of the authority "CN=middle" expired at ` + at(-24*time.Hour) + "; renew it, or check the clock of the runner's machine"},
		"authority not yet valid":      {early.issue(t, "x").tls, root.pool(), "localhost", `the certificate of the authority "CN=middle" is not yet valid: it is valid from ` + at(24*time.Hour) + "; check the clock of the runner's machine, or reissue the certificate"},
		"for clients":                  {root.issue(t, "x", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }).tls, root.pool(), "localhost", "the server's certificate is not valid for servers; reissue it with the extended key usage serverAuth"},
		"signed by no authority":       {root.issue(t, "leaf").issue(t, "x").tls, root.pool(), "localhost", `the certificate "CN=leaf" signed another certificate but is not an authority's; reissue it with the basic constraint CA:TRUE`},
		"unknown authority":            {root.issue(t, "x").tls, self.pool(), "localhost", `the server's certificate is signed by an unknown authority, "CN=root"; add the authority's certificate to the object in tls.ca, or have the server send its intermediate certificates`},
		"unknown authority, no CA":     {root.issue(t, "x").tls, nil, "localhost", `the server's certificate is signed by an unknown authority, "CN=root"; name a ConfigMap, Secret or ClusterTrustBundle with the authority's certificate in tls.ca`},
		"unknown authority of a chain": {middle.issue(t, "x").tls, self.pool(), "localhost", `the server's certificate is signed by an unknown authority, "CN=root"; add the authority's certificate to the object in tls.ca, or have the server send its intermediate certificates`},
		"chain not sent":               {middle.issue(t, "x").leafOnly(), root.pool(), "localhost", `the server's certificate is signed by an unknown authority, "CN=middle"; add the authority's certificate to the object in tls.ca, or have the server send its intermediate certificates`},
		"authority of another key":     {root.issue(t, "x").tls, (*issued)(nil).issue(t, "root", authority).pool(), "localhost", `the server's certificate is signed by an unknown authority, "CN=root"; the certificate of this name in tls.ca has another key or is not an authority's; put the certificate that signed the server's certificate into tls.ca`},
		"self-signed":                  {self.tls, root.pool(), "localhost", `the server's certificate is self-signed by "CN=self", an unknown authority; add this certificate to the object in tls.ca`},
		"self-signed authority":        {(*issued)(nil).issue(t, "own", authority, named("localhost")).tls, nil, "localhost", `the server's certificate is self-signed by "CN=own", an unknown authority; add this certificate to the object in tls.ca`},
		"name that authority forbids":  {root.issue(t, "narrow", authority, func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"plant.example"} }).issue(t, "x").tls, root.pool(), "localhost", "the name constraints or key usages of an authority do not permit the server's certificate; have another authority issue it"},
		"longer chain than allowed":    {root.issue(t, "short", authority, func(c *x509.Certificate) { c.MaxPathLenZero = true }).issue(t, "low", authority).issue(t, "x").tls, root.pool(), "localhost", "the chain of the server's certificate is longer than an authority in it allows (path length constraint); use a shorter chain"},
	} {
		t.Run(name, func(t *testing.T) {
			hostPort, _ := listenTLS(t, &tls.Config{Certificates: []tls.Certificate{c.server}, MinVersion: tls.VersionTLS12})
			client := &tls.Config{ServerName: c.host, RootCAs: c.trusted, MinVersion: tls.VersionTLS12}
			wantDialError(t, testTimeout, Config{HostPort: hostPort, TLS: client}, v1alpha1.ReasonTLSFailed, "TLS: "+c.text)
		})
	}
}

func TestTLS_SelfSignedCertificateInCA_IsTrusted(t *testing.T) {
	self := (*issued)(nil).issue(t, "self")
	hostPort, _ := listenTLS(t, &tls.Config{Certificates: []tls.Certificate{self.tls}, MinVersion: tls.VersionTLS12})
	wantEcho(t, dial(t, Config{HostPort: hostPort, TLS: &tls.Config{ServerName: "localhost", RootCAs: self.pool(), MinVersion: tls.VersionTLS12}}))
}

func TestTLS_OtherProtocolOnThePort_NamesTheScheme(t *testing.T) {
	for answer, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n\r\n": "the server speaks HTTP without TLS on this port; use ws:// in the URL, or the port of the server's TLS listener",
		"\x20\x02\x00\x01\x00\x00":         "the server speaks MQTT without TLS on this port; use mqtt:// in the URL, or the port of the server's TLS listener",
		"AMQP\x00\x00\x09\x01":             "the server does not speak TLS on this port; check the URL's scheme and port",
	} {
		hostPort := listen(t, "127.0.0.1:0", func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, answer)
			discard(c)
		})
		wantDialError(t, testTimeout, Config{HostPort: hostPort, TLS: clientTLS(newPKI(t))}, v1alpha1.ReasonTLSFailed, "TLS: "+want)
	}
}

// dialOrReadError returns the error with which the connection fails: in Dial, or in the first Read.
func dialOrReadError(t *testing.T, cfg Config) *Error {
	t.Helper()
	ctx, cancel := withTestTimeout(t)
	defer cancel()
	c, err := Dial(ctx, cfg)
	if err == nil {
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(testTimeout))
		_, err = c.Read(make([]byte, 1))
	}
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("not an *Error: %v", err)
	}
	return failed
}

func TestTLS_ClientCertificateRefused_ReportsRemedy(t *testing.T) {
	root, other := (*issued)(nil).issue(t, "root", authority), (*issued)(nil).issue(t, "other", authority)
	for version, name := range map[uint16]string{tls.VersionTLS12: "TLS 1.2", tls.VersionTLS13: "TLS 1.3"} {
		server := &tls.Config{
			Certificates: []tls.Certificate{root.issue(t, "server").tls}, MinVersion: tls.VersionTLS12, MaxVersion: version,
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: root.pool(),
		}
		hostPort, _ := listenTLS(t, server)
		for what, c := range map[string]struct {
			client []tls.Certificate
			hint   string
		}{
			"none":                 {nil, "it demands a client certificate; set tls.certificate and tls.key"},
			"of another authority": {[]tls.Certificate{other.issue(t, "bridge").tls}, `it does not accept client certificates of the authority "CN=other", which issued the client certificate in tls.certificate; use a certificate of an authority that the server accepts`},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				e := dialOrReadError(t, Config{HostPort: hostPort, TLS: &tls.Config{ServerName: "localhost", RootCAs: root.pool(), Certificates: c.client, MinVersion: tls.VersionTLS12}})
				if reason, message := Explain(e); reason != v1alpha1.ReasonTLSFailed || !strings.HasSuffix(message, "; "+c.hint) {
					t.Errorf("got  %s: %s\nwant %s", reason, message, c.hint)
				}
			})
		}
	}
}
