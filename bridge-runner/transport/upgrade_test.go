// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestUpgrade_Fails_ReportsReasonAndRemedy(t *testing.T) {
	status := func(line string) func(net.Conn) {
		return httpReply("HTTP/1.1 " + line + "\r\nContent-Length: 0\r\n\r\n")
	}
	for _, c := range []struct {
		name, path   string
		serve        func(net.Conn)
		reason, text string
	}{
		{"404 with a path", "/no", status("404 Nope"), v1alpha1.ReasonWebSocketRefused, "the server refuses the WebSocket connection (HTTP 404 Not Found); check the URL's path"},
		{"404 without", "", status("404 Nope"), v1alpha1.ReasonWebSocketRefused, "the server refuses the WebSocket connection (HTTP 404 Not Found); the URL has no path; many servers require /mqtt"},
		{"403", "/mqtt", status("403 No"), v1alpha1.ReasonWebSocketRefused, "the server refuses the WebSocket connection (HTTP 403 Forbidden); the server may require a login before MQTT; set a client certificate in tls.certificate, or a token in webSocket.headers or webSocket.queryFrom"},
		{"301", "/mqtt", status("301 Moved"), v1alpha1.ReasonWebSocketRefused, "the server refuses the WebSocket connection (HTTP 301 Moved Permanently); it redirects, and the bridge does not follow redirects; set the URL to the target of the redirect"},
		{"503", "/mqtt", status("503 Later"), v1alpha1.ReasonWebSocketRefused, "the server refuses the WebSocket connection (HTTP 503 Service Unavailable); see the log of the server, or of the proxy in front of it"},
		{"no HTTP", "/mqtt", httpReply("220 mail.example ESMTP\r\n"), v1alpha1.ReasonWebSocketRefused, "the server does not speak HTTP on this port; check the URL's scheme and port"},
		{"closes", "/mqtt", func(c net.Conn) { _, _ = c.Read(make([]byte, 1000)) }, v1alpha1.ReasonWebSocketRefused, "the server closed the connection instead of answering the WebSocket upgrade; check the URL's scheme, port and path, and the server's log"},
		{"silent", "/mqtt", discard, v1alpha1.ReasonConnectTimeout, "the server accepts the connection but does not respond to the WebSocket upgrade within failover.connectTimeoutSeconds; check the URL's scheme, port and path, and the server's log"},
		{"endless head", "/mqtt", httpReply("HTTP/1.1 101 Switching Protocols\r\n" + strings.Repeat("A: b\r\n", maxHead)), v1alpha1.ReasonWebSocketRefused, "the server's response to the WebSocket upgrade is not valid: its header is longer than 65536 bytes; check the URL's scheme, port and path"},
	} {
		t.Run(c.name, func(t *testing.T) {
			timeout := testTimeout
			if c.reason == v1alpha1.ReasonConnectTimeout {
				timeout = 500 * time.Millisecond
			}
			hostPort := listen(t, "127.0.0.1:0", c.serve)
			wantDialError(t, timeout, Config{HostPort: hostPort, WebSocket: true, Path: c.path}, c.reason, c.text)
		})
	}
	for name, subprotocols := range map[string][]string{"no subprotocol": nil, "another subprotocol": {"mqttv3.1"}} {
		t.Run(name, func(t *testing.T) {
			hostPort, _ := listenWebSocket(t, subprotocols, wsEcho)
			wantDialError(t, testTimeout, Config{HostPort: hostPort, WebSocket: true}, v1alpha1.ReasonWebSocketRefused,
				"the server accepts the WebSocket connection but does not select the subprotocol mqtt; check that the URL's path leads to an MQTT server")
		})
	}
}

func TestUpgrade_ClientCertificateMissing_ReportsTheAlert(t *testing.T) {
	pki := newPKI(t)
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			server := serverTLS(t, pki.Server())
			server.ClientAuth, server.ClientCAs, server.MaxVersion = tls.RequireAndVerifyClientCert, pool(pki.CA), version
			hostPort, _ := listenTLS(t, server)
			text := map[uint16]string{
				tls.VersionTLS12: "TLS: the server refused the handshake (tls: handshake failure); it demands a client certificate; set tls.certificate and tls.key",
				tls.VersionTLS13: "TLS: the server refused the handshake (tls: certificate required); it demands a client certificate; set tls.certificate and tls.key",
			}[version]
			for range 25 { // the alert and the error of the write may come in any order
				wantDialError(t, testTimeout, Config{HostPort: hostPort, TLS: clientTLS(pki), WebSocket: true}, v1alpha1.ReasonTLSFailed, text)
			}
		})
	}
	broker := mqtttest.StartBroker(t, mqtttest.BrokerOptions{WebSocket: true, TLS: pki.Server(), ClientCA: pki.CA})
	for range 25 {
		wantDialError(t, testTimeout, Config{HostPort: broker.Address(), TLS: clientTLS(pki), WebSocket: true}, v1alpha1.ReasonTLSFailed,
			"TLS: the server refused the handshake (tls: certificate required); it demands a client certificate; set tls.certificate and tls.key")
	}
}

// failingWriter fails every write after the first left ones.
type failingWriter struct {
	net.Conn
	left int
}

func (c *failingWriter) Write(p []byte) (int, error) {
	c.left--
	if c.left < 0 {
		return 0, syscall.EPIPE
	}
	return c.Conn.Write(p)
}

func TestUpgrade_RequestNotWritable_ReportsTheAlert(t *testing.T) {
	pki := newPKI(t)
	server := serverTLS(t, pki.Server())
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, pool(pki.CA)
	hostPort, _ := listenTLS(t, server)
	cfg := Config{HostPort: hostPort, TLS: clientTLS(pki), WebSocket: true}
	for range 2 {
		below := &failingWriter{Conn: dialBelow(t, &cfg), left: 2} // the client's two writes during the handshake
		_, err := addLayers(t.Context(), &cfg, cfg.Sessions.newCache(cfg.TLS), below)
		wantError(t, err, v1alpha1.ReasonTLSFailed, "TLS: the server refused the handshake (tls: certificate required); it demands a client certificate; set tls.certificate and tls.key")
	}
}

func TestRefusedUpgrade_EachCode_HasItsKind(t *testing.T) {
	plain, withTLS := &Config{Path: "/mqtt"}, &Config{Path: "/mqtt", TLS: &tls.Config{MinVersion: tls.VersionTLS12}}
	for _, c := range []struct {
		cfg  *Config
		code int
		want Kind
	}{
		{&Config{Path: "/mqtt?token=x"}, 401, UpgradeLoginRefused},
		{&Config{Path: "/mqtt", Header: http.Header{"Authorization": {"x"}}}, 403, UpgradeLoginRefused},
		{plain, 401, UpgradeLoginRequired},
		{plain, 403, UpgradeLoginRequired},
		{plain, 302, UpgradeRedirected},
		{plain, 502, UpgradeServerError},
		{plain, 400, UpgradeBadRequestPlain},
		{withTLS, 400, UpgradeRefused},
		{plain, 200, UpgradeByWebServer},
		{plain, 426, UpgradeByWebServer},
		{&Config{}, 404, UpgradeWithoutPath},
		{&Config{Path: "/"}, 404, UpgradeWithoutPath},
		{&Config{Path: "/?token=x"}, 404, UpgradeWithoutPath},
		{plain, 404, UpgradeRefused},
	} {
		if got := refusedUpgrade(c.cfg, c.code); got != c.want {
			t.Errorf("%q, %d: %q, want %q", c.cfg.Path, c.code, got, c.want)
		}
	}
}
