// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// keyPair returns the client certificate and its key. The key is in PKCS #1, PKCS #8 or SEC 1
// form, in PEM. An encrypted key is refused, because the runner has no password for it; the error
// names the command that decrypts it.
func (s Secrets) keyPair(certRef, keyRef manifest.Reference) (tls.Certificate, error) {
	cert, err := s.readPEM(certRef, clientCertificate)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := s.readPEM(keyRef, privateKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := joinPair(cert, key)
	if err != nil {
		return tls.Certificate{}, &ReferenceError{Reference: certRef, Problem: pairError(cert, certRef.Key, keyRef.Key, fmt.Sprintf("%s, key %q", keyRef.Object(), keyRef.Key), err)}
	}
	return pair, nil
}

// ReadKeyPair returns the client certificate and its key from two files, in the forms that a Secret may have.
func ReadKeyPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := readPEMFile(certFile, clientCertificate)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readPEMFile(keyFile, privateKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := joinPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s: %w", certFile, pairError(cert, certFile, keyFile, keyFile, err))
	}
	return pair, nil
}

// readPEMFile returns the content of a file in PEM.
func readPEMFile(path string, use pemUse) ([]byte, error) {
	value, err := os.ReadFile(path) //nolint:gosec // the file that the user names
	if err != nil {
		return nil, err
	}
	value = normalizePEM(value)
	if problem := pemProblem(use, path, value); problem != "" {
		return nil, fmt.Errorf("%s %s", path, problem)
	}
	return value, nil
}

// joinPair returns the pair of a certificate and a key.
func joinPair(cert, key []byte) (tls.Certificate, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		if ordered, ok := leafFirst(cert, key); ok {
			pair, err = tls.X509KeyPair(ordered, key)
		}
	}
	if err != nil {
		return tls.Certificate{}, err
	}
	pair.Certificate = sortChain(pair.Certificate)
	return pair, nil
}

// readPEM returns the value of a reference in PEM.
func (s Secrets) readPEM(ref manifest.Reference, use pemUse) ([]byte, error) {
	value, err := s.read(ref)
	if err != nil {
		return nil, err
	}
	value = normalizePEM(value)
	if problem := pemProblem(use, ref.Key, value); problem != "" {
		return nil, &ReferenceError{Reference: ref, Problem: errors.New(problem)}
	}
	return value, nil
}

// pairError explains why a certificate and a key do not form a pair. The names are the keys or the files that hold
// them, and keyPlace is the complete name of the latter.
func pairError(cert []byte, certName, keyName, keyPlace string, err error) error {
	if !strings.Contains(err.Error(), "does not match") {
		return fmt.Errorf("%w; put a certificate into %s and its unencrypted key into %s, both in PEM form", err, certName, keyName)
	}
	subject := ""
	if all := certificates(cert); len(all) > 0 {
		subject = fmt.Sprintf(" of %q", all[0].Subject.String())
	}
	return fmt.Errorf("the certificate%s was not issued for the key in %s; name a certificate and its own key", subject, keyPlace)
}

// leafFirst moves the certificate that belongs to the key to the front of the chain: some
// authorities list their own certificate first. ok is false if there is no such certificate.
func leafFirst(cert, key []byte) (chain []byte, ok bool) {
	public, ok := publicKey(key)
	if !ok {
		return nil, false
	}
	all := certificates(cert)
	leaf := slices.IndexFunc(all, func(c *x509.Certificate) bool { return public.Equal(c.PublicKey) })
	if leaf < 0 {
		return nil, false
	}
	all = append([]*x509.Certificate{all[leaf]}, slices.Delete(slices.Clone(all), leaf, leaf+1)...)
	var out bytes.Buffer
	for _, c := range all {
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			return nil, false // not reached: writing to a buffer does not fail
		}
	}
	return out.Bytes(), true
}

// sortChain sorts a chain whose first certificate is the client's own, so that the issuer's
// certificate follows each certificate (RFC 5246 section 7.4.2). Certificates that do not
// belong to the chain remain at its end.
func sortChain(chain [][]byte) [][]byte {
	var rest []*x509.Certificate
	for _, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return chain // unchanged
		}
		rest = append(rest, c)
	}
	ordered := [][]byte{rest[0].Raw}
	last := rest[0]
	for rest = rest[1:]; len(rest) > 0; {
		next := slices.IndexFunc(rest, func(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, last.RawIssuer) })
		if next < 0 {
			break
		}
		last = rest[next]
		ordered, rest = append(ordered, last.Raw), slices.Delete(rest, next, next+1)
	}
	for _, c := range rest {
		ordered = append(ordered, c.Raw)
	}
	return ordered
}

// certificates returns the certificates in PEM data. It skips those that cannot be parsed.
func certificates(value []byte) []*x509.Certificate {
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, value = pem.Decode(value); block == nil {
			return out
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			out = append(out, c)
		}
	}
}

type publicKeyOf interface{ Equal(x crypto.PublicKey) bool }

// publicKey returns the public key of the first private key in PEM.
func publicKey(value []byte) (publicKeyOf, bool) {
	for {
		var block *pem.Block
		if block, value = pem.Decode(value); block == nil {
			return nil, false
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		var key any
		var err error
		if key, err = x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
			if key, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
				key, err = x509.ParseECPrivateKey(block.Bytes)
			}
		}
		signer, ok := key.(crypto.Signer)
		if err != nil || !ok {
			return nil, false
		}
		public, ok := signer.Public().(publicKeyOf)
		return public, ok
	}
}
