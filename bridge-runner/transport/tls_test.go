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

// listenTLS serves TLS. What the handshake showed of the client is sent to seen.
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

func TestTLSWithClientCertificateSNIAndALPN(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			server := secure(t, pki.Server())
			server.MaxVersion = version
			server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, pool(pki.CA)
			server.NextProtos = []string{"x-amzn-mqtt-ca"}
			hostPort, seen := listenTLS(t, server)
			client := trusting(pki)
			client.Certificates = secure(t, pki.Client("bridge")).Certificates
			client.NextProtos = []string{"mqtt", "x-amzn-mqtt-ca"}
			echoes(t, dial(t, Config{HostPort: hostPort, TLS: client}))
			state := <-seen
			if state.Version != version || state.ServerName != "localhost" || state.NegotiatedProtocol != "x-amzn-mqtt-ca" ||
				state.PeerCertificates[0].Subject.CommonName != "bridge" {
				t.Errorf("the server saw version %x, name %q, protocol %q, client %v",
					state.Version, state.ServerName, state.NegotiatedProtocol, state.PeerCertificates[0].Subject)
			}
		})
	}
}

func TestWhyTLSFailsIsTold(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	good, expired := secure(t, pki.Server()), pki.Expired()
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
			name: "unknown authority", server: secure(t, mqtttest.NewPKI(t).Server()),
			text: `TLS: the server's certificate is signed by an unknown authority, "CN=test authority"; the one of this name in tls.caRef has another key or is not an authority: put the certificate that signed the server's there`,
		},
		{
			name: "wrong name", server: secure(t, pki.WrongName()),
			text: "TLS: the server's certificate is not valid for the name \"localhost\"; it bears another.example; set tls.serverName to a name that it bears",
		},
		{
			name: "expired", server: secure(t, expired),
			text: "TLS: the server's certificate has expired at " + notAfter(t, expired).Format(time.RFC3339) + "; renew it, or check the clock of the runner's node",
		},
		{
			name: "no client certificate, TLS 1.2", server: with(func(c *tls.Config) {
				c.ClientAuth, c.ClientCAs, c.MaxVersion = tls.RequireAndVerifyClientCert, pool(pki.CA), tls.VersionTLS12
			}),
			text: "TLS: the server refused the handshake (tls: handshake failure); it demands a client certificate; name a Secret that holds one in tls.certSecretRef",
		},
		{
			name: "no common ALPN protocol", server: with(func(c *tls.Config) { c.NextProtos = []string{"h2"} }), alpn: []string{"mqtt"},
			text: "TLS: the server refused the handshake (tls: no application protocol); it speaks none of the protocols in tls.alpn",
		},
		{
			name: "old versions only", server: with(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }),
			text: "TLS: the server refused the handshake (tls: protocol version not supported); it has to speak TLS 1.2 or 1.3",
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
			client := trusting(pki)
			client.NextProtos = c.alpn
			fails(t, enough, Config{HostPort: hostPort, TLS: client}, v1alpha1.ReasonTLSFailed, c.text)
		})
	}
}

func TestWhatSpeaksNoTLSIsTold(t *testing.T) {
	for _, c := range []struct {
		name    string
		serve   func(net.Conn)
		timeout time.Duration
		reason  string
		text    string
	}{
		{
			"another protocol", func(c net.Conn) { _, _ = io.WriteString(c, "220 mail.example ESMTP\r\n"); silent(c) }, enough,
			v1alpha1.ReasonTLSFailed, "TLS: the server does not speak TLS there; check the URL's scheme and port",
		},
		{
			"closes", func(c net.Conn) { _, _ = c.Read(make([]byte, 1<<16)) }, enough,
			v1alpha1.ReasonTLSFailed, "TLS: the server closed the connection during the handshake; check that it expects TLS there",
		},
		{
			"silent", silent, time.Second,
			v1alpha1.ReasonConnectTimeout, "the server did not complete the TLS handshake within connectTimeoutSeconds",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			hostPort := listen(t, "127.0.0.1:0", c.serve)
			fails(t, c.timeout, Config{HostPort: hostPort, TLS: trusting(mqtttest.NewPKI(t))}, c.reason, c.text)
		})
	}
	broker := mqtttest.StartBroker(t, mqtttest.BrokerOptions{})
	fails(t, enough, Config{HostPort: broker.Address(), TLS: trusting(mqtttest.NewPKI(t))},
		v1alpha1.ReasonTLSFailed, "TLS: the server closed the connection during the handshake; check that it expects TLS there")
}

func TestAClientCertificateThatIsMissedAfterTheHandshakeIsTold(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	server := secure(t, pki.Server())
	server.ClientAuth, server.ClientCAs, server.MinVersion = tls.RequireAndVerifyClientCert, pool(pki.CA), tls.VersionTLS13
	hostPort, _ := listenTLS(t, server)
	c := dial(t, Config{HostPort: hostPort, TLS: trusting(pki)})
	_, err := c.Read(make([]byte, 1))
	alert := Alert(err)
	if alert == nil {
		t.Fatalf("no alert: %v", err)
	}
	is(t, alert, v1alpha1.ReasonTLSFailed, "TLS: the server refused the handshake (tls: certificate required); it demands a client certificate; name a Secret that holds one in tls.certSecretRef")
	if other := Alert(errors.New("another")); other != nil {
		t.Errorf("any error is an alert: %v", other)
	}
}
