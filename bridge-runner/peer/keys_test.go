// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestNewCertificate_Contents_AreAnEd25519KeyAndNothingElse(t *testing.T) {
	pair, finger := certificate(t)
	parsed, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := parsed.PublicKey.(ed25519.PublicKey); !ok || parsed.Subject.String() != "" || len(parsed.DNSNames) > 0 {
		t.Errorf("a %T of %q", parsed.PublicKey, parsed.Subject)
	}
	if _, other := certificate(t); other == finger {
		t.Error("two key pairs have the same fingerprint")
	}
}

// The fingerprint of a certificate, of its public key and the hash that OpenSSL computes are equal.
func TestFingerprints_CertificateAndPublicKey_AreEqual(t *testing.T) {
	pair, want := certificate(t)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	path := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(path, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	public, err := exec.Command("openssl", "x509", "-in", path, "-noout", "-pubkey").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"certificate": cert, "public key": public} {
		if got, err := Fingerprints(data); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v, %v; want %s", name, got, err, want)
		}
	}
	if got, err := Fingerprints(append(cert, public...)); err != nil || len(got) != 2 {
		t.Errorf("two keys: %v, %v", got, err)
	}
}

func TestFingerprints_NoKey_NamesTheRemedy(t *testing.T) {
	for name, data := range map[string]string{
		"empty": "", "text": "a key", "private key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
	} {
		if _, err := Fingerprints([]byte(data)); err == nil || !strings.Contains(err.Error(), "BEGIN PUBLIC KEY") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Fingerprints([]byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")); err == nil {
		t.Error("a damaged key is accepted")
	}
}
