// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func withTestTimeout(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), testTimeout)
}

// startOpenSSL starts OpenSSL's TLS server with a certificate, and waits until it listens.
func startOpenSSL(t *testing.T, server *issued, args ...string) (hostPort string) {
	t.Helper()
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(server.Key)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	port := mqtttest.FreePort(t)
	args = append([]string{
		"s_server", "-accept", fmt.Sprintf("127.0.0.1:%d", port),
		"-cert", file("crt", "CERTIFICATE", server.Cert.Raw), "-key", file("key", "PRIVATE KEY", key),
	}, args...)
	cmd := exec.Command("openssl", args...)
	stdin, err := cmd.StdinPipe() // the server ends when its input ends
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "ACCEPT") {
			go func() {
				for lines.Scan() { // drains the output, so that the server does not block
				}
			}()
			return fmt.Sprintf("127.0.0.1:%d", port)
		}
	}
	t.Fatalf("openssl %v does not listen", args)
	return ""
}

// caFile writes a CA certificate to a file for OpenSSL.
func caFile(t *testing.T, ca *issued) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTLS_AlertsOfOpenSSL_ReportReasonAndRemedy(t *testing.T) {
	root := (*issued)(nil).issue(t, "root", authority)
	other := (*issued)(nil).issue(t, "root", authority) // it has the same name, because otherwise clients would not send its certificates
	server := root.issue(t, "server")
	const refused = "TLS: the server refused the handshake "
	const noCertificate = "it demands a client certificate; set tls.certificate and tls.key"
	demand := []string{"-Verify", "3", "-verify_return_error", "-CAfile", caFile(t, root)}
	of := func(i *issued) []tls.Certificate { return []tls.Certificate{i.tls} }
	for name, c := range map[string]struct {
		args   []string
		client []tls.Certificate
		text   string
	}{
		"no client certificate, TLS 1.2": {append([]string{"-tls1_2"}, demand...), nil, refused + "(tls: handshake failure); " + noCertificate},
		"no client certificate, TLS 1.3": {append([]string{"-tls1_3"}, demand...), nil, refused + "(tls: certificate required); " + noCertificate},
		"client of an unknown authority, TLS 1.2": {
			append([]string{"-tls1_2"}, demand...), of(other.issue(t, "bridge")),
			refused + `(tls: unknown certificate authority); it does not trust "CN=root", which issued the client certificate in tls.certificate; add that authority on the server, or the intermediate certificates to tls.certificate`,
		},
		"client of an unknown authority, TLS 1.3": {
			append([]string{"-tls1_3"}, demand...), of(other.issue(t, "bridge")),
			refused + `(tls: unknown certificate authority); it does not trust "CN=root", which issued the client certificate in tls.certificate; add that authority on the server, or the intermediate certificates to tls.certificate`,
		},
		"client expired, TLS 1.2": {
			append([]string{"-tls1_2"}, demand...), of(root.issue(t, "bridge", valid(-48*time.Hour, -24*time.Hour))),
			refused + "(tls: expired certificate); the client certificate in tls.certificate expired at " + thisHour.Add(-24*time.Hour).Format(time.RFC3339) + "; renew it",
		},
		"client expired, TLS 1.3": {
			append([]string{"-tls1_3"}, demand...), of(root.issue(t, "bridge", valid(-48*time.Hour, -24*time.Hour))),
			refused + "(tls: expired certificate); the client certificate in tls.certificate expired at " + thisHour.Add(-24*time.Hour).Format(time.RFC3339) + "; renew it",
		},
		"client not valid yet": {
			demand, of(root.issue(t, "bridge", valid(24*time.Hour, 48*time.Hour))),
			refused + "(tls: bad certificate); the client certificate in tls.certificate is not valid before " + thisHour.Add(24*time.Hour).Format(time.RFC3339) + "; use a valid certificate, or check the clock of the runner's machine",
		},
		"client certificate of a server": {
			demand, of(root.issue(t, "bridge", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })),
			refused + "(tls: unsupported certificate); the client certificate in tls.certificate is not valid for clients; reissue it with the extended key usage clientAuth",
		},
		"no shared cipher": {
			[]string{"-tls1_2", "-cipher", "ECDHE-ECDSA-CAMELLIA128-SHA256"},
			nil,
			refused + "(tls: handshake failure); it and the bridge have no cipher suite, curve or signature algorithm in common; allow ECDHE with AES-GCM or ChaCha20-Poly1305 on the server",
		},
		"no shared curve": {
			[]string{"-tls1_3", "-groups", "ffdhe2048"},
			nil,
			refused + "(tls: handshake failure); it and the bridge have no cipher suite, curve or signature algorithm in common; allow ECDHE with AES-GCM or ChaCha20-Poly1305 on the server",
		},
		"old version": {[]string{"-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"}, nil, refused + "(tls: protocol version not supported); enable TLS 1.2 or 1.3 on the server"},
		"name not served": {
			[]string{"-servername", "other.example", "-servername_fatal", "-cert2", caFile(t, server)},
			nil,
			refused + "(tls: unrecognized name); set tls.serverName to a name that it serves",
		},
		"no shared protocol of ALPN": {[]string{"-alpn", "h2"}, nil, refused + "(tls: no application protocol); it supports none of the protocols in tls.alpn; set tls.alpn to a protocol that it supports"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "name not served" {
				key, err := x509.MarshalPKCS8PrivateKey(server.Key)
				if err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(t.TempDir(), "key2")
				if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600); err != nil {
					t.Fatal(err)
				}
				c.args = append(c.args, "-key2", path)
			}
			hostPort := startOpenSSL(t, server, c.args...)
			client := &tls.Config{ServerName: "localhost", RootCAs: root.pool(), Certificates: c.client, MinVersion: tls.VersionTLS12}
			if strings.Contains(name, "ALPN") {
				client.NextProtos = []string{"mqtt"}
			}
			wantError(t, dialOrReadError(t, Config{HostPort: hostPort, TLS: client}), v1alpha1.ReasonTLSFailed, c.text)
		})
	}
}
