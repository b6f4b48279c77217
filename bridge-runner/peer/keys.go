// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Fingerprint is the SHA-256 hash of a public key in its DER form (SubjectPublicKeyInfo), in
// hexadecimal digits.
type Fingerprint string

// protocol is the ALPN protocol. It keeps apart clients and servers of other protocols.
const protocol = "mqttbridge-peer"

// UntrustedError is the error of an end of a connection that does not trust the key of the other end.
type UntrustedError struct {
	// Fingerprint is the fingerprint of that key.
	Fingerprint Fingerprint
}

func (e *UntrustedError) Error() string {
	return fmt.Sprintf("the public key of the other end is not trusted: its fingerprint is %s", e.Fingerprint)
}

// errNoKey is the error of a file that identifies no member.
var errNoKey = errors.New(`no certificate and no public key; write one in PEM form, with "BEGIN CERTIFICATE" or "BEGIN PUBLIC KEY"`)

// NewCertificate returns a new Ed25519 key pair, with a certificate that contains nothing but the
// public key. It does not expire, because the members are identified by their keys.
func NewCertificate() (tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a key pair: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // no expiry, RFC 5280 section 4.1.2.5
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}

// FingerprintOf returns the fingerprint of a certificate's public key.
func FingerprintOf(certificate tls.Certificate) (Fingerprint, error) {
	if len(certificate.Certificate) == 0 {
		return "", errNoKey
	}
	parsed, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		return "", fmt.Errorf("parsing the certificate: %w", err)
	}
	return fingerprint(parsed.RawSubjectPublicKeyInfo), nil
}

// Fingerprints returns the fingerprints of the certificates and public keys in PEM data.
func Fingerprints(data []byte) ([]Fingerprint, error) {
	var out []Fingerprint
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			parsed, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("parsing the certificate: %w", err)
			}
			out = append(out, fingerprint(parsed.RawSubjectPublicKeyInfo))
		case "PUBLIC KEY":
			if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
				return nil, fmt.Errorf("parsing the public key: %w", err)
			}
			out = append(out, fingerprint(block.Bytes))
		}
	}
	if len(out) == 0 {
		return nil, errNoKey
	}
	return out, nil
}

func fingerprint(publicKey []byte) Fingerprint {
	sum := sha256.Sum256(publicKey)
	return Fingerprint(hex.EncodeToString(sum[:]))
}

// tlsConfigs returns the TLS configurations for accepted and for dialled connections. No session is
// resumed, so that each handshake proves both keys.
func tlsConfigs(cfg *Config) (server, client *tls.Config) {
	server = &tls.Config{
		Certificates:           []tls.Certificate{cfg.Certificate},
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{protocol},
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if f := peerFingerprint(state); !cfg.Trusted(f) {
				return &UntrustedError{f}
			}
			return nil
		},
	}
	client = server.Clone()
	client.InsecureSkipVerify = true // VerifyConnection checks the key instead of names and authorities
	return server, client
}

// peerFingerprint returns the fingerprint of the other end's key. Both ends require a certificate.
func peerFingerprint(state tls.ConnectionState) Fingerprint {
	return fingerprint(state.PeerCertificates[0].RawSubjectPublicKeyInfo)
}

// EncodePEM returns a certificate of [NewCertificate] in PEM form: public is the certificate alone, and
// pair has the private key, too, for [tls.X509KeyPair].
func EncodePEM(certificate tls.Certificate) (pair, public []byte, err error) {
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding the private key: %w", err)
	}
	public = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
	pair = append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), public...)
	return pair, public, nil
}
