// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestTLSSessions_CAChanged_FullHandshake(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			server := fixedTicketKeyTLS(t, pki.Server())
			server.MaxVersion = version
			hostPort, _ := listenWith(t, always(server))
			cfg, observed := withSessions(Config{HostPort: hostPort, TLS: clientTLS(pki)})
			connectOnce(t, cfg)
			cfg.TLS = clientTLS(pki) // loaded again, without a change
			connectOnce(t, cfg)
			observed.wantResumed(t, false, true)

			cfg.TLS = clientTLS(pki) // with an additional CA
			cfg.TLS.RootCAs.AppendCertsFromPEM(mqtttest.NewPKI(t).CA)
			connectOnce(t, cfg)
			connectOnce(t, cfg)
			observed.wantResumed(t, false, true)

			cfg.TLS = clientTLS(mqtttest.NewPKI(t))
			wantDialError(t, testTimeout, cfg, v1alpha1.ReasonTLSFailed,
				`TLS: the server's certificate is signed by an unknown authority, "CN=test authority"; the certificate of this name in tls.ca has another key or is not an authority's; put the certificate that signed the server's certificate into tls.ca`)
			observed.wantResumed(t)
		})
	}
}

func TestTLSSessions_ClientCertificateRotated_ServerSeesTheNewOne(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			server := fixedTicketKeyTLS(t, pki.Server())
			server.MaxVersion = version
			server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, pool(pki.CA)
			hostPort, clients := listenWith(t, always(server))
			cfg, observed := withSessions(Config{HostPort: hostPort, TLS: clientTLS(pki)})
			for _, client := range []string{"old", "new"} {
				cfg.TLS = clientTLS(pki)
				cfg.TLS.Certificates = serverTLS(t, pki.Client(client)).Certificates
				for range 2 {
					connectOnce(t, cfg)
					if got := <-clients; got != client {
						t.Errorf("the server saw %q, want %q", got, client)
					}
				}
			}
			observed.wantResumed(t, false, true, false, true)
		})
	}
}

func TestTLSSessions_NameOrALPNChanged_FullHandshake(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	server := fixedTicketKeyTLS(t, pki.Server())
	server.NextProtos = []string{"mqtt", "x-amzn-mqtt-ca"}
	hostPort, _ := listenWith(t, always(server))
	for what, change := range map[string]func(*tls.Config){
		"a protocol":       func(c *tls.Config) { c.NextProtos = []string{"mqtt"} },
		"another protocol": func(c *tls.Config) { c.NextProtos = []string{"x-amzn-mqtt-ca", "mqtt"} },
		"another name":     func(c *tls.Config) { c.ServerName = "127.0.0.1" },
	} {
		t.Run(what, func(t *testing.T) {
			cfg, observed := withSessions(Config{HostPort: hostPort, TLS: clientTLS(pki)})
			cfg.TLS.NextProtos = []string{"mqtt", "x-amzn-mqtt-ca"}
			connectOnce(t, cfg)
			connectOnce(t, cfg)
			cfg.TLS = cfg.TLS.Clone()
			change(cfg.TLS)
			connectOnce(t, cfg)
			observed.wantResumed(t, false, true, false)
		})
	}
}

func TestTLSSessions_TicketAfterSettingsChanged_IsNotUsed(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	hostPort, clients := listenWith(t, always(func() *tls.Config {
		server := fixedTicketKeyTLS(t, pki.Server())
		server.ClientAuth, server.ClientCAs, server.MinVersion = tls.RequireAndVerifyClientCert, pool(pki.CA), tls.VersionTLS13
		return server
	}()))
	cfg, observed := withSessions(Config{HostPort: hostPort, TLS: clientTLS(pki)})
	cfg.TLS.Certificates = serverTLS(t, pki.Client("old")).Certificates
	wantClient := func(want string) { // the server completes its handshake later than the client
		t.Helper()
		if got := <-clients; got != want {
			t.Errorf("the server saw %q, want %q", got, want)
		}
	}
	long := dial(t, cfg) // it has not read a ticket yet
	wantClient("old")
	renewed := cfg
	renewed.TLS = clientTLS(pki)
	renewed.TLS.Certificates = serverTLS(t, pki.Client("new")).Certificates
	connectOnce(t, renewed)
	wantClient("new")
	wantEcho(t, long)
	connectOnce(t, renewed)
	wantClient("new")
	observed.wantResumed(t, false, false, true)
}

// notAfter returns the time when a certificate expires.
func notAfter(t *testing.T, pair *mqtttest.KeyPair) time.Time {
	t.Helper()
	block, _ := pem.Decode(pair.Cert)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert.NotAfter
}

func TestTLSSessions_ServerCertificateExpired_DoesNotResume(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			pair := pki.Server()
			server := fixedTicketKeyTLS(t, pair)
			server.MaxVersion = version
			hostPort, _ := listenWith(t, always(server))
			cfg, observed := withSessions(Config{HostPort: hostPort, TLS: clientTLS(pki)})
			connectOnce(t, cfg)
			connectOnce(t, cfg)
			observed.wantResumed(t, false, true)
			cfg.TLS.Time = func() time.Time { return notAfter(t, pair).Add(time.Second) }
			wantDialError(t, testTimeout, cfg, v1alpha1.ReasonTLSFailed,
				"TLS: the server's certificate expired at "+notAfter(t, pair).Format(time.RFC3339)+"; renew it, or check the clock of the runner's machine")
			observed.wantResumed(t)
		})
	}
}

func TestTLSSessions_ServerLostTheSessionAndCertificateExpired_Fails(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	pair := pki.Expired()
	hostPort, _ := listenWith(t, sequence(serverTLS(t, pki.Server()), serverTLS(t, pair)))
	cfg, observed := withSessions(Config{HostPort: hostPort, TLS: clientTLS(pki)})
	connectOnce(t, cfg)
	wantDialError(t, testTimeout, cfg, v1alpha1.ReasonTLSFailed,
		"TLS: the server's certificate expired at "+notAfter(t, pair).Format(time.RFC3339)+"; renew it, or check the clock of the runner's machine")
	observed.wantResumed(t, false)
}

func TestTLSSessions_OlderThanADay_FullHandshake(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			var after atomic.Int64 // the server's goroutines read the clock, too
			clock := func() time.Time { return start.Add(time.Duration(after.Load())) }
			server := fixedTicketKeyTLS(t, pki.LongLived())
			server.MaxVersion, server.Time = version, clock
			hostPort, _ := listenWith(t, always(server))
			cfg, observed := withSessions(Config{HostPort: hostPort, TLS: clientTLS(pki)})
			cfg.TLS.Time = clock
			for range 9 { // each connection receives a new ticket
				connectOnce(t, cfg)
				after.Add(int64(6 * time.Hour))
			}
			observed.wantResumed(t, false, true, true, true, true, false, true, true, true)
		})
	}
}
