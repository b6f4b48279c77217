// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestAChangedCAIsTrustedInsteadOfASession(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			server := keeper(t, pki.Server())
			server.MaxVersion = version
			hostPort, _ := listenWith(t, always(server))
			cfg, shaken := remember(Config{HostPort: hostPort, TLS: trusting(pki)})
			visit(t, cfg)
			cfg.TLS = trusting(pki) // read again, and the same
			visit(t, cfg)
			shaken.were(t, false, true)

			cfg.TLS = trusting(pki) // and another one
			cfg.TLS.RootCAs.AppendCertsFromPEM(mqtttest.NewPKI(t).CA)
			visit(t, cfg)
			visit(t, cfg)
			shaken.were(t, false, true)

			cfg.TLS = trusting(mqtttest.NewPKI(t))
			fails(t, enough, cfg, v1alpha1.ReasonTLSFailed,
				`TLS: the server's certificate is signed by an unknown authority, "CN=test authority"; the one of this name in tls.caRef has another key or is not an authority: put the certificate that signed the server's there`)
			shaken.were(t)
		})
	}
}

func TestARotatedClientCertificateIsShown(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			server := keeper(t, pki.Server())
			server.MaxVersion = version
			server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, pool(pki.CA)
			hostPort, clients := listenWith(t, always(server))
			cfg, shaken := remember(Config{HostPort: hostPort, TLS: trusting(pki)})
			for _, client := range []string{"old", "new"} {
				cfg.TLS = trusting(pki)
				cfg.TLS.Certificates = secure(t, pki.Client(client)).Certificates
				for range 2 {
					visit(t, cfg)
					if got := <-clients; got != client {
						t.Errorf("the server saw %q, want %q", got, client)
					}
				}
			}
			shaken.were(t, false, true, false, true)
		})
	}
}

func TestAnotherNameOrProtocolNeedsAFullHandshake(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	server := keeper(t, pki.Server())
	server.NextProtos = []string{"mqtt", "x-amzn-mqtt-ca"}
	hostPort, _ := listenWith(t, always(server))
	for what, change := range map[string]func(*tls.Config){
		"a protocol":       func(c *tls.Config) { c.NextProtos = []string{"mqtt"} },
		"another protocol": func(c *tls.Config) { c.NextProtos = []string{"x-amzn-mqtt-ca", "mqtt"} },
		"another name":     func(c *tls.Config) { c.ServerName = "127.0.0.1" },
	} {
		t.Run(what, func(t *testing.T) {
			cfg, shaken := remember(Config{HostPort: hostPort, TLS: trusting(pki)})
			cfg.TLS.NextProtos = []string{"mqtt", "x-amzn-mqtt-ca"}
			visit(t, cfg)
			visit(t, cfg)
			cfg.TLS = cfg.TLS.Clone()
			change(cfg.TLS)
			visit(t, cfg)
			shaken.were(t, false, true, false)
		})
	}
}

func TestATicketThatComesAfterASettingChangedIsNotUsed(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	hostPort, clients := listenWith(t, always(func() *tls.Config {
		server := keeper(t, pki.Server())
		server.ClientAuth, server.ClientCAs, server.MinVersion = tls.RequireAndVerifyClientCert, pool(pki.CA), tls.VersionTLS13
		return server
	}()))
	cfg, shaken := remember(Config{HostPort: hostPort, TLS: trusting(pki)})
	cfg.TLS.Certificates = secure(t, pki.Client("old")).Certificates
	saw := func(want string) { // a server has done its part of the handshake later than the client
		t.Helper()
		if got := <-clients; got != want {
			t.Errorf("the server saw %q, want %q", got, want)
		}
	}
	long := dial(t, cfg) // it reads no ticket yet
	saw("old")
	renewed := cfg
	renewed.TLS = trusting(pki)
	renewed.TLS.Certificates = secure(t, pki.Client("new")).Certificates
	visit(t, renewed)
	saw("new")
	echoes(t, long)
	visit(t, renewed)
	saw("new")
	shaken.were(t, false, false, true)
}

// notAfter is when a certificate ends.
func notAfter(t *testing.T, pair *mqtttest.KeyPair) time.Time {
	t.Helper()
	block, _ := pem.Decode(pair.Cert)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert.NotAfter
}

func TestASessionEndsWithTheServersCertificate(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			pair := pki.Server()
			server := keeper(t, pair)
			server.MaxVersion = version
			hostPort, _ := listenWith(t, always(server))
			cfg, shaken := remember(Config{HostPort: hostPort, TLS: trusting(pki)})
			visit(t, cfg)
			visit(t, cfg)
			shaken.were(t, false, true)
			cfg.TLS.Time = func() time.Time { return notAfter(t, pair).Add(time.Second) }
			fails(t, enough, cfg, v1alpha1.ReasonTLSFailed,
				"TLS: the server's certificate has expired at "+notAfter(t, pair).Format(time.RFC3339)+"; renew it, or check the clock of the runner's node")
			shaken.were(t)
		})
	}
}

func TestAnExpiredCertificateIsRefusedWhereTheServerHasForgottenTheSession(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	pair := pki.Expired()
	hostPort, _ := listenWith(t, sequence(secure(t, pki.Server()), secure(t, pair)))
	cfg, shaken := remember(Config{HostPort: hostPort, TLS: trusting(pki)})
	visit(t, cfg)
	fails(t, enough, cfg, v1alpha1.ReasonTLSFailed,
		"TLS: the server's certificate has expired at "+notAfter(t, pair).Format(time.RFC3339)+"; renew it, or check the clock of the runner's node")
	shaken.were(t, false)
}

func TestTheServersCertificateIsAskedForOnceADay(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			var after time.Duration
			clock := func() time.Time { return start.Add(after) }
			server := keeper(t, pki.LongLived())
			server.MaxVersion, server.Time = version, clock
			hostPort, _ := listenWith(t, always(server))
			cfg, shaken := remember(Config{HostPort: hostPort, TLS: trusting(pki)})
			cfg.TLS.Time = clock
			for range 9 { // each with a ticket that is new
				visit(t, cfg)
				after += 6 * time.Hour
			}
			shaken.were(t, false, true, true, true, true, false, true, true, true)
		})
	}
}
