// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// boundary matches the line at which a PEM block begins or ends.
var boundary = regexp.MustCompile(`(-{5}(?:BEGIN|END) [^-\n]+-{5})[ \t]*\n?`)

// normalizePEM returns PEM in the form that the parser accepts: in UTF-8 without byte order
// marks, with LF as line ends, without spaces around lines, and with BEGIN and END on lines
// of their own. Editors, shells and templates produce other forms. Data that is not PEM is
// returned unchanged.
func normalizePEM(data []byte) []byte {
	text := utf8Text(data)
	if !bytes.Contains(text, []byte("-----BEGIN ")) {
		return data
	}
	text = bytes.ReplaceAll(text, []byte("\uFEFF"), nil)
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	text = bytes.ReplaceAll(text, []byte("\r"), []byte("\n"))
	if bytes.Count(text, []byte(`\n`)) > bytes.Count(text, []byte("\n")) { // one line with escaped line ends
		text = bytes.ReplaceAll(bytes.ReplaceAll(text, []byte(`\r`), nil), []byte(`\n`), []byte("\n"))
	}
	text = boundary.ReplaceAll(text, []byte("\n$1\n"))
	text = bytes.ReplaceAll(text, []byte(" X509 CERTIFICATE-----"), []byte(" CERTIFICATE-----")) // OpenSSL's old name
	lines := bytes.Split(text, []byte("\n"))
	for i := range lines {
		lines[i] = bytes.TrimSpace(lines[i])
	}
	return append(bytes.Join(lines, []byte("\n")), '\n')
}

// utf8Text converts UTF-16, which Windows shells write, to UTF-8. Other data is returned
// unchanged.
func utf8Text(data []byte) []byte {
	var order binary.ByteOrder
	switch {
	case len(data)%2 != 0 || len(data) < 2:
		return data
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}), bytes.HasPrefix(data, []byte{'-', 0}):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}), bytes.HasPrefix(data, []byte{0, '-'}):
		order = binary.BigEndian
	default:
		return data
	}
	units := make([]uint16, 0, len(data)/2)
	for ; len(data) > 0; data = data[2:] {
		units = append(units, order.Uint16(data))
	}
	var out []byte
	for _, r := range utf16.Decode(units) {
		out = utf8.AppendRune(out, r)
	}
	return out
}

// blocks returns the types of the PEM blocks in a value. encrypted is true if at least one
// block is encrypted.
func blocks(value []byte) (types []string, encrypted bool) {
	for {
		var block *pem.Block
		if block, value = pem.Decode(value); block == nil {
			return types, encrypted
		}
		types = append(types, block.Type)
		// Encryption as in PKCS #8, or as in RFC 1421, which OpenSSL used before.
		encrypted = encrypted || block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED")
	}
}

// pemUse is the use of a value in PEM.
type pemUse int

const (
	caCertificates pemUse = iota
	clientCertificate
	privateKey
)

// pool returns the CA certificates that a reference names.
func (s Secrets) pool(ref manifest.Reference) (*x509.CertPool, error) {
	value, err := s.read(ref)
	if err != nil {
		return nil, err
	}
	pool, err := parseCAs(ref.Key, value)
	if err != nil {
		return nil, &ReferenceError{Reference: ref, Problem: err}
	}
	return pool, nil
}

// ReadCAs returns the CA certificates in a file, in the forms that a ConfigMap may have.
func ReadCAs(path string) (*x509.CertPool, error) {
	value, err := os.ReadFile(path) //nolint:gosec // the file that the user names
	if err != nil {
		return nil, err
	}
	pool, err := parseCAs(path, value)
	if err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	return pool, nil
}

// parseCAs returns the CA certificates of a value in PEM. name is the key or the file that holds the value. The
// error describes the value, and does not name it.
func parseCAs(name string, value []byte) (*x509.CertPool, error) {
	value = normalizePEM(value)
	pool := x509.NewCertPool()
	if pool.AppendCertsFromPEM(value) {
		return pool, nil
	}
	problem := pemProblem(caCertificates, name, value)
	if problem == "" {
		problem = certificateProblem(value)
	}
	return nil, errors.New(problem)
}

// certificateProblem describes the contents of a PEM value that holds no usable certificate,
// and the remedy.
func certificateProblem(value []byte) string {
	const none = "holds no certificate in PEM form"
	for rest := value; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch {
		case block.Type == "CERTIFICATE":
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return fmt.Sprintf("holds a certificate that cannot be parsed (%v); copy it again, or have it issued again", err)
			}
		case block.Type == "CERTIFICATE REQUEST", block.Type == "NEW CERTIFICATE REQUEST":
			return none + ", but a certificate request; replace it with the certificate that the authority issued"
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return none + ", but a private key; replace it with the authority's certificate, and keep the key elsewhere"
		}
	}
	if types, _ := blocks(value); len(types) > 0 {
		return fmt.Sprintf("%s, but: %s; replace it with the authority's certificate", none, strings.Join(types[:min(len(types), 3)], ", "))
	}
	if bytes.Contains(value, []byte("-----BEGIN ")) {
		return none + ": the text between BEGIN and END is damaged or cut off; copy it again"
	}
	return none + "; put the authority's certificate there"
}

// pemProblem describes a value that is not unencrypted PEM, and how to convert it. It returns
// an empty string for other values. key is the key that holds the value.
func pemProblem(use pemUse, key string, value []byte) string {
	tool, item := "x509", "certificate"
	if use == privateKey {
		tool, item = "pkey", "key"
	}
	types, encrypted := blocks(value)
	has := func(kind string) bool {
		for _, t := range types {
			if t == kind {
				return true
			}
		}
		return false
	}
	switch {
	case len(bytes.TrimSpace(value)) == 0:
		return "is empty; put the " + item + " there, in PEM form"
	case isPKCS12(value):
		part := "-clcerts -nokeys"
		switch use {
		case privateKey:
			part = "-nocerts -nodes"
		case caCertificates:
			part = "-cacerts -nokeys"
		case clientCertificate:
		}
		return fmt.Sprintf("holds a PKCS #12 file, not PEM; convert it with: openssl pkcs12 -in FILE %s -out %s", part, key)
	case encrypted:
		return "holds a private key that is encrypted with a password; remove the password with: openssl pkey -in FILE -out " + key
	case has("PKCS7"), has("CMS"), has("PKCS #7 SIGNED DATA"):
		return fmt.Sprintf("holds a PKCS #7 file; convert it with: openssl pkcs7 -print_certs -in FILE -out %s", key)
	case isPKCS7(value):
		return fmt.Sprintf("holds a PKCS #7 file, not PEM; convert it with: openssl pkcs7 -inform DER -print_certs -in FILE -out %s", key)
	case has("TRUSTED CERTIFICATE") && !has("CERTIFICATE"):
		return fmt.Sprintf("holds a certificate in OpenSSL's TRUSTED CERTIFICATE form; convert it with: openssl x509 -in FILE -out %s", key)
	case has("OPENSSH PRIVATE KEY"):
		return "holds a private key in OpenSSH form; convert it with: ssh-keygen -p -m PEM -f FILE"
	case isDER(value):
		return fmt.Sprintf("is in DER form, not PEM; convert it with: openssl %s -inform DER -in FILE -out %s", tool, key)
	case bytes.HasPrefix(value, []byte{0xfe, 0xed, 0xfe, 0xed}):
		return fmt.Sprintf("holds a Java key store, not PEM; export the %s from it in PEM form", item)
	case len(types) == 0:
		return base64Problem(key, tool, value)
	}
	return ""
}

// base64Problem describes a value that is the base64 encoding of other data: of PEM, if the
// data of a Secret was encoded twice; or of DER, if the lines BEGIN and END are missing.
func base64Problem(key, tool string, value []byte) string {
	decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(value)), ""))
	switch {
	case err != nil:
		return ""
	case bytes.Contains(normalizePEM(decoded), []byte("-----BEGIN ")):
		return fmt.Sprintf("is encoded in base64 twice; decode it once with: base64 -d FILE > %s", key)
	case isDER(decoded):
		return fmt.Sprintf("lacks the lines BEGIN and END of PEM; convert it with: base64 -d FILE | openssl %s -inform DER -out %s", tool, key)
	}
	return ""
}

// isDER reports whether a value is one ASN.1 sequence in DER. PEM data never is.
func isDER(value []byte) bool {
	var sequence asn1.RawValue
	rest, err := asn1.Unmarshal(value, &sequence)
	return err == nil && len(rest) == 0 && sequence.Tag == asn1.TagSequence && sequence.IsCompound
}

// isPKCS12 reports whether a value begins like a PFX (RFC 7292 section 4): a sequence that
// contains the version 3 and then a sequence.
func isPKCS12(value []byte) bool {
	return bytes.HasPrefix(content(value), []byte{2, 1, 3, 0x30})
}

// isPKCS7 reports whether a value begins like the content type signedData (RFC 2315
// section 7).
func isPKCS7(value []byte) bool {
	return bytes.HasPrefix(content(value), []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2})
}

// content returns the contents of an ASN.1 sequence, nil if the value is none. The sequence
// may be in BER, with an indefinite length.
func content(value []byte) []byte {
	if len(value) < 2 || value[0] != 0x30 {
		return nil
	}
	header := 2
	if value[1] > 0x80 {
		header += int(value[1] & 0x7f)
	}
	if len(value) < header {
		return nil
	}
	return value[header:]
}
