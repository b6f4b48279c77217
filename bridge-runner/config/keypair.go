// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"crypto/tls"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// keyPair returns the client certificate that a Secret holds. The key is one of
// PKCS #1, PKCS #8 or SEC 1 in PEM. What is encrypted cannot be used without someone
// who types the password, and is told with the command that decrypts it.
func (s Secrets) keyPair(secret string) (tls.Certificate, error) {
	cert, err := s.read("Secret", secret, KeyCert)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := s.read("Secret", secret, KeyKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	for _, value := range []struct {
		key  string
		data []byte
	}{{KeyCert, cert}, {KeyKey, key}} {
		if problem := unusable(value.key, value.data); problem != "" {
			return tls.Certificate{}, &ReferenceError{"Secret", secret, value.key, errors.New(problem)}
		}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, &ReferenceError{"Secret", secret, KeyCert, fmt.Errorf("%w; it and tls.key must be a certificate and its unencrypted key in PEM form", err)}
	}
	return pair, nil
}

// unusable says what a value is instead of unencrypted PEM, and how to convert it.
func unusable(key string, value []byte) string {
	switch {
	case isPKCS12(value):
		part := "-clcerts -nokeys"
		if key == KeyKey {
			part = "-nocerts -nodes"
		}
		return fmt.Sprintf("holds a PKCS #12 file, not PEM; convert it with: openssl pkcs12 -in FILE %s -out %s", part, key)
	case encryptedKey(value):
		return "holds a private key that is protected by a password; take the password off with: openssl pkey -in FILE -out " + key
	case isDER(value):
		what := "x509"
		if key == KeyKey {
			what = "pkey"
		}
		return fmt.Sprintf("is in DER form, not PEM; convert it with: openssl %s -inform DER -in FILE -out %s", what, key)
	}
	return ""
}

// encryptedKey reports whether PEM holds a key that is encrypted, in PKCS #8 or in
// the form of RFC 1421 that OpenSSL used before.
func encryptedKey(value []byte) bool {
	for {
		var block *pem.Block
		if block, value = pem.Decode(value); block == nil {
			return false
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return true
		}
	}
}

// isDER reports whether a value is one sequence of ASN.1, which PEM never is.
func isDER(value []byte) bool {
	var sequence asn1.RawValue
	rest, err := asn1.Unmarshal(value, &sequence)
	return err == nil && len(rest) == 0 && sequence.Tag == asn1.TagSequence && sequence.IsCompound
}

// isPKCS12 reports whether a value begins like a PFX (RFC 7292 section 4): a sequence
// of the version 3 and of content. It may be in BER, with lengths that are not told.
func isPKCS12(value []byte) bool {
	if len(value) < 2 || value[0] != 0x30 {
		return false
	}
	header := 2
	if value[1] > 0x80 {
		header += int(value[1] & 0x7f)
	}
	return len(value) > header && bytes.HasPrefix(value[header:], []byte{2, 1, 3, 0x30})
}
