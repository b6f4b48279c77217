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
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// boundary is the line with which a PEM block begins or ends.
var boundary = regexp.MustCompile(`(-{5}(?:BEGIN|END) [^-\n]+-{5})[ \t]*\n?`)

// plainPEM returns PEM in the form that the parser accepts: in UTF-8 without byte order
// marks, with LF as line ends, without blanks around lines, and with BEGIN and END on lines
// of their own. Editors, shells and templates leave such traces. Other data is returned as
// it is.
func plainPEM(data []byte) []byte {
	text := utf8Text(data)
	if !bytes.Contains(text, []byte("-----BEGIN ")) {
		return data
	}
	text = bytes.ReplaceAll(text, []byte("\uFEFF"), nil)
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	text = bytes.ReplaceAll(text, []byte("\r"), []byte("\n"))
	if bytes.Count(text, []byte(`\n`)) > bytes.Count(text, []byte("\n")) { // one line with escapes
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

// utf8Text returns text in UTF-16, which Windows shells write, in UTF-8.
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

// blocks returns the types of the PEM blocks in a value, and whether one is encrypted.
func blocks(value []byte) (types []string, encrypted bool) {
	for {
		var block *pem.Block
		if block, value = pem.Decode(value); block == nil {
			return types, encrypted
		}
		types = append(types, block.Type)
		// In PKCS #8, or in the form of RFC 1421 that OpenSSL used before.
		encrypted = encrypted || block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED")
	}
}

// pool returns the certificates of authorities that the key of an object holds.
func (s Secrets) pool(kind, name string) (*x509.CertPool, error) {
	value, err := s.read(kind, name, KeyCA)
	if err != nil {
		return nil, err
	}
	value = plainPEM(value)
	pool := x509.NewCertPool()
	if pool.AppendCertsFromPEM(value) {
		return pool, nil
	}
	problem := unusable(KeyCA, value)
	if problem == "" {
		problem = noCertificate(value)
	}
	return nil, &ReferenceError{kind, name, KeyCA, errors.New(problem)}
}

// noCertificate says what PEM holds instead of a certificate.
func noCertificate(value []byte) string {
	const none = "holds no certificate in PEM form"
	for rest := value; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch {
		case block.Type == "CERTIFICATE":
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return fmt.Sprintf("holds a certificate that cannot be read (%v); copy it again, or have it issued again", err)
			}
		case block.Type == "CERTIFICATE REQUEST", block.Type == "NEW CERTIFICATE REQUEST":
			return none + ", but a request for one; put the certificate that the authority issued there"
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return none + ", but a private key; put the authority's certificate there, and keep its key elsewhere"
		}
	}
	if types, _ := blocks(value); len(types) > 0 {
		return fmt.Sprintf("%s, but: %s; put the authority's certificate there", none, strings.Join(types[:min(len(types), 3)], ", "))
	}
	if bytes.Contains(value, []byte("-----BEGIN ")) {
		return none + ": the text between BEGIN and END is damaged or cut off; copy it again"
	}
	return none
}

// unusable says what a value is instead of unencrypted PEM, and how to convert it.
func unusable(key string, value []byte) string {
	tool, of := "x509", "certificate"
	if key == KeyKey {
		tool, of = "pkey", "key"
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
		return "is empty; put the " + of + " there, in PEM form"
	case isPKCS12(value):
		part := "-clcerts -nokeys"
		switch key {
		case KeyKey:
			part = "-nocerts -nodes"
		case KeyCA:
			part = "-cacerts -nokeys"
		}
		return fmt.Sprintf("holds a PKCS #12 file, not PEM; convert it with: openssl pkcs12 -in FILE %s -out %s", part, key)
	case encrypted:
		return "holds a private key that is protected by a password; take the password off with: openssl pkey -in FILE -out " + key
	case has("PKCS7"), has("CMS"), has("PKCS #7 SIGNED DATA"):
		return fmt.Sprintf("holds a PKCS #7 file; convert it with: openssl pkcs7 -print_certs -in FILE -out %s", key)
	case isPKCS7(value):
		return fmt.Sprintf("holds a PKCS #7 file, not PEM; convert it with: openssl pkcs7 -inform DER -print_certs -in FILE -out %s", key)
	case has("TRUSTED CERTIFICATE") && !has("CERTIFICATE"):
		return fmt.Sprintf("holds a certificate in OpenSSL's own form; convert it with: openssl x509 -in FILE -out %s", key)
	case has("OPENSSH PRIVATE KEY"):
		return "holds a private key in OpenSSH's own form; convert it with: ssh-keygen -p -m PEM -f FILE"
	case isDER(value):
		return fmt.Sprintf("is in DER form, not PEM; convert it with: openssl %s -inform DER -in FILE -out %s", tool, key)
	case bytes.HasPrefix(value, []byte{0xfe, 0xed, 0xfe, 0xed}):
		return fmt.Sprintf("holds a Java key store, not PEM; export the %s from it in PEM form", of)
	case len(types) == 0:
		return encodedOnce(key, tool, value)
	}
	return ""
}

// encodedOnce says that a value is base64 of something else: of PEM, if a Secret's data
// was encoded twice, or of DER, if the lines BEGIN and END are missing.
func encodedOnce(key, tool string, value []byte) string {
	decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(value)), ""))
	switch {
	case err != nil:
		return ""
	case bytes.Contains(plainPEM(decoded), []byte("-----BEGIN ")):
		return fmt.Sprintf("is encoded in base64 once too often; decode it with: base64 -d FILE > %s", key)
	case isDER(decoded):
		return fmt.Sprintf("lacks the lines BEGIN and END of PEM; convert it with: base64 -d FILE | openssl %s -inform DER -out %s", tool, key)
	}
	return ""
}

// isDER reports whether a value is one sequence of ASN.1, which PEM never is.
func isDER(value []byte) bool {
	var sequence asn1.RawValue
	rest, err := asn1.Unmarshal(value, &sequence)
	return err == nil && len(rest) == 0 && sequence.Tag == asn1.TagSequence && sequence.IsCompound
}

// isPKCS12 reports whether a value begins like a PFX (RFC 7292 section 4): a sequence
// of the version 3 and of content.
func isPKCS12(value []byte) bool {
	return bytes.HasPrefix(content(value), []byte{2, 1, 3, 0x30})
}

// isPKCS7 reports whether a value begins like signed data (RFC 2315 section 7).
func isPKCS7(value []byte) bool {
	return bytes.HasPrefix(content(value), []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2})
}

// content returns what a sequence of ASN.1 holds. It may be in BER, with an indefinite
// length.
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
