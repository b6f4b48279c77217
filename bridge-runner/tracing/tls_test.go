// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/otlptest"
)

// write writes a file of a temporary directory, and returns its path.
func write(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pair returns a key pair as crypto/tls uses it.
func pair(t *testing.T, p *mqtttest.KeyPair) tls.Certificate {
	t.Helper()
	out, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestExport_TLS_VerifiesTheReceiverAndShowsTheClientCertificate(t *testing.T) {
	pki, other := mqtttest.NewPKI(t), mqtttest.NewPKI(t)
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(pki.CA)
	client := pki.Client("bridge")
	for _, c := range []struct {
		name   string
		server *mqtttest.KeyPair
		ca     []byte // the authorities that the runner trusts; nil: the authorities of the system
		mutual bool   // the receiver requires a client certificate
		client *mqtttest.KeyPair
		fails  string // a part of the line in the log; empty if the spans arrive
	}{
		{name: "trusted", server: pki.Server(), ca: pki.CA},
		{name: "client certificate", server: pki.Server(), ca: pki.CA, mutual: true, client: client},
		{name: "no client certificate", server: pki.Server(), ca: pki.CA, mutual: true, fails: "certificate required"},
		{name: "not of the system", server: pki.Server(), fails: "unknown authority"},
		{name: "of another authority", server: pki.Server(), ca: other.CA, fails: "unknown authority"},
		{name: "for another host", server: pki.WrongName(), ca: pki.CA, fails: "127.0.0.1"},
		{name: "expired", server: pki.Expired(), ca: pki.CA, fails: "expired"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair(t, c.server)}, ClientCAs: clients}
			if c.mutual {
				config.ClientAuth = tls.RequireAndVerifyClientCert
			}
			receiver := otlptest.StartTLS(t, config)
			if c.ca != nil {
				t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", write(t, c.ca))
			}
			if c.client != nil {
				t.Setenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", write(t, c.client.Cert))
				t.Setenv("OTEL_EXPORTER_OTLP_CLIENT_KEY", write(t, c.client.Key))
			}
			w.bridge.Apply(&Settings{Endpoint: receiver.URL(), PerMillion: million})
			w.forward("up/t", nil)
			if c.fails == "" {
				receiver.Wait("forward up/#", 1, eventTimeout)
				w.counted(1, 0, 0)
				return
			}
			w.counted(0, 0, 1)
			if w.log.count(c.fails) != 1 || receiver.Requests() != 0 {
				t.Errorf("%d requests; the log does not have one line with %q: %s", receiver.Requests(), c.fails, w.log.text.String())
			}
		})
	}
}

// A new authority issues the certificates of the receiver and of the runner, without a restart.
func TestExport_FilesChange_NextExportUsesThem(t *testing.T) {
	w := newWorld(t)
	paths := map[string]string{}
	for _, variable := range []string{"CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"} {
		paths[variable] = write(t, nil)
		t.Setenv("OTEL_EXPORTER_OTLP_"+variable, paths[variable])
	}
	var clients atomic.Pointer[x509.CertPool] // the authority of clients
	var own atomic.Pointer[tls.Certificate]   // of the receiver
	var handshakes atomic.Int32
	receiver := otlptest.StartTLS(t, &tls.Config{
		MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own.Load(), nil },
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			handshakes.Add(1)
			cert, err := x509.ParseCertificate(raw[0])
			if err == nil {
				_, err = cert.Verify(x509.VerifyOptions{Roots: clients.Load(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			}
			return err
		},
	})
	renew := func() {
		t.Helper()
		pki := mqtttest.NewPKI(t)
		client, server, pool := pki.Client("bridge"), pair(t, pki.Server()), x509.NewCertPool()
		pool.AppendCertsFromPEM(pki.CA)
		own.Store(&server)
		clients.Store(pool)
		for variable, data := range map[string][]byte{"CERTIFICATE": pki.CA, "CLIENT_CERTIFICATE": client.Cert, "CLIENT_KEY": client.Key} {
			if err := os.WriteFile(paths[variable], data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	renew()
	w.bridge.Apply(&Settings{Endpoint: receiver.URL(), PerMillion: million})
	for n := range 3 {
		for range 2 { // the second export uses the connection of the first one
			w.forward("up/t", nil)
			receiver.Wait("forward up/#", len(receiver.Spans(""))+1, eventTimeout)
		}
		if got := int(handshakes.Load()); got != n+1 {
			t.Errorf("%d connections with client certificates after %d changes, want %d", got, n, n+1)
		}
		renew()
	}
	w.counted(6, 0, 0)
}

func TestExport_PlainAndTLSMixed_FailsAndSaysWhy(t *testing.T) {
	w := newWorld(t)
	w.bridge.Apply(&Settings{Endpoint: "https" + w.receiver.URL()[len("http"):], PerMillion: million})
	w.forward("up/t", nil)
	w.counted(0, 0, 1)
	if w.log.count("HTTP response to HTTPS client") != 1 {
		t.Errorf("the log is %s", w.log.text.String())
	}
}
