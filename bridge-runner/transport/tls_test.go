// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// listenTLS serves TLS. It sends the state of the connection after the handshake to seen.
func listenTLS(t *testing.T, cfg *tls.Config) (hostPort string, seen chan tls.ConnectionState) {
	t.Helper()
	seen = make(chan tls.ConnectionState, 1)
	return listen(t, "127.0.0.1:0", func(c net.Conn) {
		server := tls.Server(c, cfg)
		if server.Handshake() == nil {
			select {
			case seen <- server.ConnectionState():
			default:
			}
			echo(server)
			_ = server.Close()
		}
	}), seen
}

func TestTLS_ClientCertificateSNIAndALPN_ReachTheServer(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			server := serverTLS(t, pki.Server())
			server.MaxVersion = version
			server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, pool(pki.CA)
			server.NextProtos = []string{"x-amzn-mqtt-ca"}
			hostPort, seen := listenTLS(t, server)
			client := clientTLS(pki)
			client.Certificates = serverTLS(t, pki.Client("bridge")).Certificates
			client.NextProtos = []string{"mqtt", "x-amzn-mqtt-ca"}
			wantEcho(t, dial(t, Config{HostPort: hostPort, TLS: client}))
			state := <-seen
			if state.Version != version || state.ServerName != "localhost" || state.NegotiatedProtocol != "x-amzn-mqtt-ca" ||
				state.PeerCertificates[0].Subject.CommonName != "bridge" {
				t.Errorf("the server saw version %x, name %q, protocol %q, client %v",
					state.Version, state.ServerName, state.NegotiatedProtocol, state.PeerCertificates[0].Subject)
			}
		})
	}
}

func TestTLS_HandshakeFails_ReportsReasonAndRemedy(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	good, expired := serverTLS(t, pki.Server()), pki.Expired()
	with := func(change func(*tls.Config)) *tls.Config {
		c := good.Clone()
		change(c)
		return c
	}
	for _, c := range []struct {
		name   string
		server *tls.Config
		alpn   []string
		text   string
	}{
		{
			name: "unknown authority", server: serverTLS(t, mqtttest.NewPKI(t).Server()),
			text: `TLS: the server's certificate is signed by an unknown authority, "CN=test authority"; the certificate of this name in tls.ca has another key or is not an authority's; put the certificate that signed the server's certificate into tls.ca`,
		},
		{
			name: "wrong name", server: serverTLS(t, pki.WrongName()),
			text: "TLS: the server's certificate is not valid for the name \"localhost\"; it is valid for another.example; set tls.serverName to one of these names",
		},
		{
			name: "expired", server: serverTLS(t, expired),
			text: "TLS: the server's certificate expired at " + notAfter(t, expired).Format(time.RFC3339) + "; renew it, or check the clock of the runner's machine",
		},
		{
			name: "no client certificate, TLS 1.2", server: with(func(c *tls.Config) {
				c.ClientAuth, c.ClientCAs, c.MaxVersion = tls.RequireAndVerifyClientCert, pool(pki.CA), tls.VersionTLS12
			}),
			text: "TLS: the server refused the handshake (tls: handshake failure); it demands a client certificate; set tls.certificate and tls.key",
		},
		{
			name: "no common ALPN protocol", server: with(func(c *tls.Config) { c.NextProtos = []string{"h2"} }), alpn: []string{"mqtt"},
			text: "TLS: the server refused the handshake (tls: no application protocol); it supports none of the protocols in tls.alpn; set tls.alpn to a protocol that it supports",
		},
		{
			name: "old versions only", server: with(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }),
			text: "TLS: the server refused the handshake (tls: protocol version not supported); enable TLS 1.2 or 1.3 on the server",
		},
		{
			name: "name not served", server: with(func(c *tls.Config) {
				c.GetConfigForClient = nil
				c.Certificates = nil
				c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
			}),
			text: "TLS: the server refused the handshake (tls: unrecognized name); set tls.serverName to a name that it serves",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			hostPort, _ := listenTLS(t, c.server)
			client := clientTLS(pki)
			client.NextProtos = c.alpn
			wantDialError(t, testTimeout, Config{HostPort: hostPort, TLS: client}, v1alpha1.ReasonTLSFailed, c.text)
		})
	}
}

func TestTLS_ServerWithoutTLS_ReportsReasonAndRemedy(t *testing.T) {
	for _, c := range []struct {
		name    string
		serve   func(net.Conn)
		timeout time.Duration
		reason  string
		text    string
	}{
		{
			"another protocol", func(c net.Conn) { _, _ = io.WriteString(c, "220 mail.example ESMTP\r\n"); discard(c) }, testTimeout,
			v1alpha1.ReasonTLSFailed, "TLS: the server does not speak TLS on this port; check the URL's scheme and port",
		},
		{
			"closes", func(c net.Conn) { _, _ = c.Read(make([]byte, 1<<16)) }, testTimeout,
			v1alpha1.ReasonTLSFailed, "TLS: the server closed the connection during the handshake; check that it expects TLS on this port",
		},
		{
			"silent", discard, time.Second,
			v1alpha1.ReasonConnectTimeout, "the server does not complete the TLS handshake within failover.connectTimeoutSeconds; check that it expects TLS on this port",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			hostPort := listen(t, "127.0.0.1:0", c.serve)
			wantDialError(t, c.timeout, Config{HostPort: hostPort, TLS: clientTLS(mqtttest.NewPKI(t))}, c.reason, c.text)
		})
	}
	broker := mqtttest.StartBroker(t, mqtttest.BrokerOptions{})
	wantDialError(t, testTimeout, Config{HostPort: broker.Address(), TLS: clientTLS(mqtttest.NewPKI(t))},
		v1alpha1.ReasonTLSFailed, "TLS: the server closed the connection during the handshake; check that it expects TLS on this port")
}

func TestTLS_ClientCertificateMissingAfterTheHandshake_IsReportedByRead(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	server := serverTLS(t, pki.Server())
	server.ClientAuth, server.ClientCAs, server.MinVersion = tls.RequireAndVerifyClientCert, pool(pki.CA), tls.VersionTLS13
	hostPort, _ := listenTLS(t, server)
	c := dial(t, Config{HostPort: hostPort, TLS: clientTLS(pki)})
	_, err := c.Read(make([]byte, 1))
	alert := AsAlert(err)
	if alert == nil {
		t.Fatalf("no alert: %v", err)
	}
	wantError(t, alert, v1alpha1.ReasonTLSFailed, "TLS: the server refused the handshake (tls: certificate required); it demands a client certificate; set tls.certificate and tls.key")
	if other := AsAlert(errors.New("another")); other != nil {
		t.Errorf("Alert explains an error that is not an alert: %v", other)
	}
}
