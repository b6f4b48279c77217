// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// toUTF16 encodes text in UTF-16, as Windows shells do.
func toUTF16(text string, order binary.ByteOrder, mark bool) string {
	var out bytes.Buffer
	if mark {
		text = "\uFEFF" + text
	}
	_ = binary.Write(&out, order, utf16.Encode([]rune(text)))
	return out.String()
}

// traces are the changes that editors, shells and templates make to PEM.
var traces = map[string]func(string) string{
	"nothing":              func(s string) string { return s },
	"a byte order mark":    func(s string) string { return "\uFEFF" + s },
	"CRLF":                 func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
	"CR":                   func(s string) string { return strings.ReplaceAll(s, "\n", "\r") },
	"a mark and CRLF":      func(s string) string { return "\uFEFF" + strings.ReplaceAll(s, "\n", "\r\n") },
	"text before":          func(s string) string { return "Certificate:\n    Data: x\nsubject=CN = a\n" + s },
	"a mark and text":      func(s string) string { return "\uFEFF# from the plant\r\n" + s },
	"text behind":          func(s string) string { return s + "# end\n" },
	"no line end":          strings.TrimSpace,
	"blank lines":          func(s string) string { return "\n\n" + s + "\n\n" },
	"indentation":          func(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") },
	"blanks behind lines":  func(s string) string { return strings.ReplaceAll(s, "\n", " \t\n") },
	"escaped line ends":    func(s string) string { return strings.ReplaceAll(s, "\n", `\n`) },
	"UTF-16 little endian": func(s string) string { return toUTF16(strings.ReplaceAll(s, "\n", "\r\n"), binary.LittleEndian, true) },
	"UTF-16 big endian":    func(s string) string { return toUTF16(s, binary.BigEndian, true) },
	"UTF-16 without mark":  func(s string) string { return toUTF16(s, binary.LittleEndian, false) },
	"joined by cat":        func(s string) string { return strings.ReplaceAll(s, "-----\n-----BEGIN", "----------BEGIN") },
	"OpenSSL's old name":   func(s string) string { return strings.ReplaceAll(s, " CERTIFICATE-", " X509 CERTIFICATE-") },
	"one line with blanks": func(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", " ") },
	"quotes":               func(s string) string { return `"` + strings.TrimSpace(s) + `"` },
	"quotes and escapes":   func(s string) string { return `"` + strings.ReplaceAll(strings.TrimSpace(s), "\n", `\n`) + `"` },
	"a list's item":        func(s string) string { return "- " + s },
	"a zero width space":   func(s string) string { return "\u200B" + s },
	"twice, two marks":     func(s string) string { return "\uFEFF" + s + "\uFEFF" + s },
}

// authority is a certificate that issues other certificates.
type authority struct {
	*mqtttest.Issued
	pem string
}

// issue issues a certificate. If a is nil, the certificate is self-signed.
func (a *authority) issue(t *testing.T, name string) *authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	var by *mqtttest.Issued
	if a != nil {
		by = a.Issued
	}
	issued := mqtttest.Issue(t, template, by)
	return &authority{issued, encode("CERTIFICATE", issued.Cert.Raw)}
}

// readCA returns the TLS configuration with the CA certificates of a ConfigMap that holds
// value.
func readCA(t *testing.T, value string) (*tls.Config, error) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "configMaps/ca/ca.crt", value)
	return NewSecrets(dir).tls(&TLS{ServerName: "h", CA: caRef})
}

func TestCA_TracesOfEditorsAndShells_Accepted(t *testing.T) {
	one, two := (*authority)(nil).issue(t, "one"), (*authority)(nil).issue(t, "two")
	want := x509.NewCertPool()
	want.AddCert(one.Cert)
	want.AddCert(two.Cert)
	for name, trace := range traces {
		t.Run(name, func(t *testing.T) {
			cfg, err := readCA(t, trace(one.pem+two.pem))
			if err != nil {
				t.Fatal(err)
			}
			if !cfg.RootCAs.Equal(want) {
				t.Error("not both certificates are trusted")
			}
		})
	}
}

func TestKeyPair_TracesOfEditorsAndShells_Accepted(t *testing.T) {
	own := (*authority)(nil).issue(t, "bridge")
	sec1, err := x509.MarshalECPrivateKey(own.Key)
	if err != nil {
		t.Fatal(err)
	}
	for form, key := range map[string]string{
		"PKCS #8":             encode("PRIVATE KEY", pkcs8(t, own.Key)),
		"SEC 1 after a curve": encode("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}) + encode("EC PRIVATE KEY", sec1),
	} {
		for name, trace := range traces {
			t.Run(form+" "+name, func(t *testing.T) {
				if err := useKeyPair(t, trace(own.pem), trace(key)); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestKeyPair_ChainInAnyOrder_StartsWithOwnCertificate(t *testing.T) {
	root := (*authority)(nil).issue(t, "root")
	upper := root.issue(t, "upper")
	lower := upper.issue(t, "lower")
	own := lower.issue(t, "bridge")
	other := (*authority)(nil).issue(t, "another")
	key := encode("PRIVATE KEY", pkcs8(t, own.Key))
	for name, c := range map[string]struct {
		chain []*authority
		want  string
	}{
		"in order":                       {[]*authority{own, lower, upper}, "bridge lower upper"},
		"reversed":                       {[]*authority{root, upper, lower, own}, "bridge lower upper root"},
		"mixed":                          {[]*authority{upper, own, root, lower}, "bridge lower upper root"},
		"own first":                      {[]*authority{own, upper, lower}, "bridge lower upper"},
		"a gap":                          {[]*authority{upper, own}, "bridge upper"},
		"a certificate of another chain": {[]*authority{other, lower, own}, "bridge lower another"},
		"alone":                          {[]*authority{own}, "bridge"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var text string
			for _, a := range c.chain {
				text += a.pem
			}
			write(t, dir, "client/tls.crt", text)
			write(t, dir, "client/tls.key", key)
			cfg, err := NewSecrets(dir).tls(clientTLS())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, der := range cfg.Certificates[0].Certificate {
				cert, err := x509.ParseCertificate(der)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, cert.Subject.CommonName)
			}
			if !slices.Equal(got, strings.Fields(c.want)) {
				t.Errorf("the chain is %v, want %s", got, c.want)
			}
		})
	}
}

func TestCA_AnotherForm_RefusedWithConversionCommand(t *testing.T) {
	ca := (*authority)(nil).issue(t, "one")
	dir := t.TempDir()
	write(t, dir, "ca.pem", ca.pem)
	write(t, dir, "ca.key", encode("PRIVATE KEY", pkcs8(t, ca.Key)))
	openssl(t, dir, "x509", "-in", "ca.pem", "-outform", "DER", "-out", "ca.der")
	openssl(t, dir, "crl2pkcs7", "-nocrl", "-certfile", "ca.pem", "-out", "ca.p7b")
	openssl(t, dir, "crl2pkcs7", "-nocrl", "-certfile", "ca.pem", "-outform", "DER", "-out", "ca.p7c")
	openssl(t, dir, "x509", "-in", "ca.pem", "-trustout", "-out", "trusted.pem")
	openssl(t, dir, "req", "-new", "-key", "ca.key", "-subj", "/CN=one", "-out", "ca.csr")
	openssl(t, dir, "pkcs12", "-export", "-nokeys", "-in", "ca.pem", "-out", "ca.p12", "-passout", "pass:secret")
	file := func(name string) string { return read(t, filepath.Join(dir, name)) }
	der := file("ca.der")
	const prefix = `ConfigMap "ca", key "ca.crt" (spec.remote.tls.ca.configMapKeyRef): `
	for name, c := range map[string]struct{ value, want string }{
		"DER":                   {der, "is in DER form, not PEM; convert it with: openssl x509 -inform DER -in FILE -out ca.crt"},
		"PKCS #7":               {file("ca.p7b"), "holds a PKCS #7 file; convert it with: openssl pkcs7 -print_certs -in FILE -out ca.crt"},
		"PKCS #7 with a mark":   {"\uFEFF" + file("ca.p7b"), "holds a PKCS #7 file; convert it with: openssl pkcs7 -print_certs -in FILE -out ca.crt"},
		"PKCS #7 in DER":        {file("ca.p7c"), "holds a PKCS #7 file, not PEM; convert it with: openssl pkcs7 -inform DER -print_certs -in FILE -out ca.crt"},
		"PKCS #12":              {file("ca.p12"), "holds a PKCS #12 file, not PEM; convert it with: openssl pkcs12 -in FILE -cacerts -nokeys -out ca.crt"},
		"OpenSSL's own form":    {file("trusted.pem"), "holds a certificate in OpenSSL's TRUSTED CERTIFICATE form; convert it with: openssl x509 -in FILE -out ca.crt"},
		"a request":             {file("ca.csr"), "holds no certificate in PEM form, but a certificate request; replace it with the certificate that the authority issued"},
		"a key":                 {file("ca.key"), "holds no certificate in PEM form, but a private key; replace it with the authority's certificate, and keep the key elsewhere"},
		"a revocation list":     {encode("X509 CRL", []byte{0x30, 0}), "holds no certificate in PEM form, but: X509 CRL; replace it with the authority's certificate"},
		"a public key":          {encode("PUBLIC KEY", []byte{0x30, 0}) + encode("DH PARAMETERS", []byte{0x30, 0}), "holds no certificate in PEM form, but: PUBLIC KEY, DH PARAMETERS; replace it with the authority's certificate"},
		"base64 of PEM":         {base64.StdEncoding.EncodeToString([]byte(ca.pem)), "is encoded in base64 twice; decode it once with: base64 -d FILE > ca.crt"},
		"base64 of DER":         {base64.StdEncoding.EncodeToString([]byte(der)) + "\n", "lacks the lines BEGIN and END of PEM; convert it with: base64 -d FILE | openssl x509 -inform DER -out ca.crt"},
		"cut off":               {ca.pem[:len(ca.pem)/2], "holds no certificate in PEM form: the text between BEGIN and END is damaged or cut off; copy it again"},
		"a damaged certificate": {encode("CERTIFICATE", []byte(der)[:len(der)-5]), "holds a certificate that cannot be parsed (x509: malformed certificate); copy it again, or have it issued again"},
		"empty":                 {" \n", "is empty; put the certificate there, in PEM form"},
		"another text":          {"no PEM", "holds no certificate in PEM form; put the authority's certificate there"},
		"a Java key store":      {"\xfe\xed\xfe\xed\x00\x00\x00\x02", "holds a Java key store, not PEM; export the certificate from it in PEM form"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readCA(t, c.value)
			var refused *ReferenceError
			if !errors.As(err, &refused) || err.Error() != prefix+c.want {
				t.Errorf("got  %v\nwant %s", err, prefix+c.want)
			}
		})
	}
	t.Run("the commands work", func(t *testing.T) {
		write(t, dir, "twice", base64.StdEncoding.EncodeToString([]byte(ca.pem)))
		write(t, dir, "bare", base64.StdEncoding.EncodeToString([]byte(der)))
		for name, command := range map[string]string{
			"1.crt": "openssl x509 -inform DER -in ca.der -out 1.crt",
			"2.crt": "openssl pkcs7 -print_certs -in ca.p7b -out 2.crt",
			"3.crt": "openssl pkcs7 -inform DER -print_certs -in ca.p7c -out 3.crt",
			"4.crt": "openssl x509 -in trusted.pem -out 4.crt",
			"5.crt": "openssl pkcs12 -in ca.p12 -cacerts -nokeys -out 5.crt -passin pass:secret",
			"6.crt": "base64 -d twice > 6.crt",
			"7.crt": "base64 -d bare | openssl x509 -inform DER -out 7.crt",
		} {
			shell(t, dir, command)
			if _, err := readCA(t, file(name)); err != nil {
				t.Errorf("%s: %v", command, err)
			}
		}
	})
}

func TestKeyPair_UnusableKey_RefusedWithRemedy(t *testing.T) {
	own, other := (*authority)(nil).issue(t, "bridge"), (*authority)(nil).issue(t, "other")
	dir := t.TempDir()
	shell(t, dir, "ssh-keygen -q -t ecdsa -N '' -f ssh.key")
	key := encode("PRIVATE KEY", pkcs8(t, own.Key))
	for name, c := range map[string]struct{ cert, key, want string }{
		"of another certificate": {own.pem, encode("PRIVATE KEY", pkcs8(t, other.Key)), `key "tls.crt" (cert field): the certificate of "CN=bridge" was not issued for the key in Secret "client", key "tls.key"; name a certificate and its own key`},
		"in the wrong place":     {key, own.pem, `PEM inputs may have been switched`},
		"of OpenSSH":             {own.pem, read(t, filepath.Join(dir, "ssh.key")), `key "tls.key" (key field): holds a private key in OpenSSH form; convert it with: ssh-keygen -p -m PEM -f FILE`},
		"empty":                  {own.pem, "", `key "tls.key" (key field): is empty; put the key there, in PEM form`},
		"parameters only":        {own.pem, encode("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}), `key "tls.crt" (cert field): `},
		"encoded twice":          {own.pem, base64.StdEncoding.EncodeToString([]byte(key)), `key "tls.key" (key field): is encoded in base64 twice; decode it once with: base64 -d FILE > tls.key`},
		"a chain of PKCS #7":     {encode("PKCS7", []byte{0x30, 0}), key, `key "tls.crt" (cert field): holds a PKCS #7 file; convert it with: openssl pkcs7 -print_certs -in FILE -out tls.crt`},
	} {
		t.Run(name, func(t *testing.T) {
			var refused *ReferenceError
			if err := useKeyPair(t, c.cert, c.key); !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}
