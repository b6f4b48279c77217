// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// KeyPair is a certificate and its key, in PEM format.
type KeyPair struct{ Cert, Key []byte }

// PKI is a certificate authority.
type PKI struct {
	// CA is the authority's certificate, in PEM format.
	CA []byte

	t         testing.TB
	authority *Issued
}

// Issued is a certificate with its key.
type Issued struct {
	Cert *x509.Certificate
	Key  *ecdsa.PrivateKey
}

// Issue creates a key, and a certificate for it from the template. The key of by signs the
// certificate; if by is nil, it is self-signed.
func Issue(t testing.TB, template *x509.Certificate, by *Issued) *Issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if by == nil {
		by = &Issued{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.Cert, key.Public(), by.Key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Issued{cert, key}
}

// NewPKI creates an authority.
func NewPKI(t testing.TB) *PKI {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber:          serial(t),
		Subject:               pkix.Name{CommonName: "test authority"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(7 * 24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	authority := Issue(t, template, nil)
	return &PKI{CA: encode("CERTIFICATE", authority.Cert.Raw), t: t, authority: authority}
}

// Server issues a certificate for localhost and 127.0.0.1.
func (p *PKI) Server() *KeyPair { return p.issue("localhost", time.Now().Add(time.Hour)) }

// ServerNamed issues a certificate for the host.
func (p *PKI) ServerNamed(host string) *KeyPair { return p.issue(host, time.Now().Add(time.Hour)) }

// LongLived issues a certificate like Server's that is valid for four days.
func (p *PKI) LongLived() *KeyPair { return p.issue("localhost", time.Now().Add(4*24*time.Hour)) }

// Expired issues an expired certificate for localhost.
func (p *PKI) Expired() *KeyPair { return p.issue("localhost", time.Now().Add(-time.Minute)) }

// WrongName issues a certificate for another host.
func (p *PKI) WrongName() *KeyPair { return p.ServerNamed("another.example") }

// Client issues a client certificate.
func (p *PKI) Client(name string) *KeyPair { return p.issue(name, time.Now().Add(time.Hour)) }

func (p *PKI) issue(name string, notAfter time.Time) *KeyPair {
	p.t.Helper()
	template := &x509.Certificate{
		SerialNumber: serial(p.t),
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{name},
		NotBefore:    notAfter.Add(-5 * 24 * time.Hour),
		NotAfter:     notAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if name == "localhost" {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	issued := Issue(p.t, template, p.authority)
	key, err := x509.MarshalPKCS8PrivateKey(issued.Key)
	if err != nil {
		p.t.Fatal(err)
	}
	return &KeyPair{Cert: encode("CERTIFICATE", issued.Cert.Raw), Key: encode("PRIVATE KEY", key)}
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
