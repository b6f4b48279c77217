// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// gateways starts a proxy of each kind.
func gateways(t *testing.T, o mqtttest.GatewayOptions) map[string]*mqtttest.Gateway {
	t.Helper()
	return map[string]*mqtttest.Gateway{"SOCKS5": mqtttest.StartSOCKS(t, o), "HTTP": mqtttest.StartHTTPGateway(t, o)}
}

func TestProxy_ServerByName_IsResolvedByTheProxy(t *testing.T) {
	server := listen(t, "127.0.0.1:0", echo)
	setAddresses("localhost") // the test's DNS server has no address for it, but the proxies use the system's resolver
	for kind, g := range gateways(t, mqtttest.GatewayOptions{}) {
		t.Run(kind, func(t *testing.T) {
			before := queryCount("localhost")
			c := dial(t, Config{HostPort: "localhost:" + port(t, server), Proxy: g.URLFor("", ""), WriteTimeout: time.Minute})
			wantEcho(t, c)
			if queryCount("localhost") != before {
				t.Error("the client resolved the name")
			}
			if c.RemoteAddr().String() != g.URLFor("", "").Host {
				t.Errorf("connected to %v, not to the proxy", c.RemoteAddr())
			}
		})
	}
}

func TestProxy_Login_ConnectsOrNamesTheSecret(t *testing.T) {
	server := listen(t, "127.0.0.1:0", echo)
	for kind, g := range gateways(t, mqtttest.GatewayOptions{User: "plant", Password: "secret"}) {
		proxy := g.URLFor("", "").Host
		t.Run(kind+" right", func(t *testing.T) {
			wantEcho(t, dial(t, Config{HostPort: server, Proxy: g.URLFor("plant", "secret")}))
		})
		t.Run(kind+" wrong", func(t *testing.T) {
			wantDialError(t, testTimeout, Config{HostPort: server, Proxy: g.URLFor("plant", "other")}, v1alpha1.ReasonProxyFailed,
				"the proxy "+proxy+" refuses the user name or password; check proxy.credentials")
		})
		t.Run(kind+" none", func(t *testing.T) {
			wantDialError(t, testTimeout, Config{HostPort: server, Proxy: g.URLFor("", "")}, v1alpha1.ReasonProxyFailed,
				"the proxy "+proxy+" requires a login; set proxy.credentials.username and proxy.credentials.password")
		})
	}
}

func TestProxy_TLS_ReachesTheServer(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	server, seen := listenTLS(t, serverTLS(t, pki.Server()))
	for kind, g := range gateways(t, mqtttest.GatewayOptions{}) {
		t.Run(kind, func(t *testing.T) {
			wantEcho(t, dial(t, Config{HostPort: server, TLS: clientTLS(pki), Proxy: g.URLFor("", "")}))
			if state := <-seen; state.ServerName != "localhost" {
				t.Errorf("SNI %q", state.ServerName)
			}
		})
	}
}

func TestProxy_NoConnection_ReportsReasonAndRemedy(t *testing.T) {
	socks, http := mqtttest.StartSOCKS(t, mqtttest.GatewayOptions{}), mqtttest.StartHTTPGateway(t, mqtttest.GatewayOptions{})
	strict := mqtttest.StartHTTPGateway(t, mqtttest.GatewayOptions{OnlyPort: 443})
	dead := closedPort(t)
	hole := listen(t, "127.0.0.1:0", discard)
	closes := listen(t, "127.0.0.1:0", func(c net.Conn) { _, _ = c.Read(make([]byte, 1000)) })
	mail := listen(t, "127.0.0.1:0", func(c net.Conn) { _, _ = io.WriteString(c, "220 mail.example ESMTP\r\n"); discard(c) })
	of := func(g *mqtttest.Gateway) *url.URL { return g.URLFor("", "") }
	at := func(scheme, host string) *url.URL { return &url.URL{Scheme: scheme, Host: host} }
	for _, c := range []struct {
		name   string
		proxy  *url.URL
		server string
		reason string
		text   string // PROXY and SERVER stand for their addresses
	}{
		{"SOCKS5: nothing listens", of(socks), dead, v1alpha1.ReasonConnectionRefused, "the proxy PROXY cannot connect to the server: connection refused; check that the proxy can reach the URL's host and port"},
		{"HTTP: nothing listens", of(http), dead, v1alpha1.ReasonProxyFailed, "the proxy PROXY cannot connect to the server (HTTP 500 Internal Server Error); check that the proxy can reach the URL's host and port, and see the proxy's log"},
		{"HTTP: forbidden", of(strict), dead, v1alpha1.ReasonProxyFailed, "the proxy PROXY forbids the connection (HTTP 403 Forbidden); allow CONNECT to SERVER in the proxy's rules"},
		{"refused", at("socks5", dead), dead, v1alpha1.ReasonProxyFailed, "the proxy PROXY cannot be reached: connection refused; check proxy.url, and that the proxy runs"},
		{"unknown name", at("http", "noproxy.example:3128"), dead, v1alpha1.ReasonProxyFailed, "the proxy PROXY cannot be reached: its name cannot be resolved (no such host); check proxy.url, and the DNS of the pod or machine that connects"},
		{"SOCKS5 to an HTTP proxy", at("socks5", of(http).Host), dead, v1alpha1.ReasonConnectTimeout, "the proxy PROXY does not connect to the server within failover.connectTimeoutSeconds; check the scheme and port of proxy.url, and that the proxy can reach the URL's host and port"},
		{"HTTP to a SOCKS5 proxy", at("http", of(socks).Host), dead, v1alpha1.ReasonProxyFailed, "the proxy PROXY does not speak HTTP; check the scheme and port of proxy.url"},
		{"SOCKS5 to a mail server", at("socks5", mail), dead, v1alpha1.ReasonProxyFailed, "the proxy PROXY does not speak SOCKS5; check the scheme and port of proxy.url"},
		{"HTTP to a mail server", at("http", mail), dead, v1alpha1.ReasonProxyFailed, "the proxy PROXY does not speak HTTP; check the scheme and port of proxy.url"},
		{"SOCKS5, closed", at("socks5", closes), dead, v1alpha1.ReasonProxyFailed, "the proxy PROXY closed the connection instead of answering; check the scheme and port of proxy.url, and the proxy's log"},
		{"HTTP, closed", at("http", closes), dead, v1alpha1.ReasonProxyFailed, "the proxy PROXY closed the connection instead of answering; check the scheme and port of proxy.url, and the proxy's log"},
		{"SOCKS5, no response", at("socks5", hole), dead, v1alpha1.ReasonConnectTimeout, "the proxy PROXY does not connect to the server within failover.connectTimeoutSeconds; check the scheme and port of proxy.url, and that the proxy can reach the URL's host and port"},
		{"HTTP, no response", at("http", hole), dead, v1alpha1.ReasonConnectTimeout, "the proxy PROXY does not connect to the server within failover.connectTimeoutSeconds; check the scheme and port of proxy.url, and that the proxy can reach the URL's host and port"},
		{"unknown scheme", at("ftp", of(socks).Host), dead, v1alpha1.ReasonProxyFailed, "proxy.url has the unsupported scheme \"ftp\"; use socks5:// or http://"},
	} {
		t.Run(c.name, func(t *testing.T) {
			timeout := testTimeout
			if c.reason == v1alpha1.ReasonConnectTimeout {
				timeout = 500 * time.Millisecond
			}
			text := strings.NewReplacer("PROXY", c.proxy.Host, "SERVER", c.server).Replace(c.text)
			wantDialError(t, timeout, Config{HostPort: c.server, Proxy: c.proxy}, c.reason, text)
		})
	}
	t.Run("killed", func(t *testing.T) {
		socks.Kill()
		wantDialError(t, testTimeout, Config{HostPort: dead, Proxy: of(socks)}, v1alpha1.ReasonProxyFailed,
			"the proxy "+of(socks).Host+" cannot be reached: connection refused; check proxy.url, and that the proxy runs")
	})
}

// socksReply returns a SOCKS5 proxy that replies to every request with this code.
func socksReply(code byte) func(net.Conn) {
	return func(c net.Conn) {
		buf := make([]byte, 300)
		_, _ = c.Read(buf) // the methods
		_, _ = c.Write([]byte{5, 0})
		_, _ = c.Read(buf) // the request
		_, _ = c.Write([]byte{5, code, 0, 1, 0, 0, 0, 0, 0, 0})
	}
}

// httpReply returns an HTTP server that sends the same response to every request.
func httpReply(answer string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1000))
		_, _ = io.WriteString(c, answer)
		discard(c)
	}
}

func TestProxy_ErrorReply_ReportsReasonAndRemedy(t *testing.T) {
	for _, c := range []struct {
		name, scheme string
		serve        func(net.Conn)
		reason, text string
	}{
		{"SOCKS5 1", "socks5", socksReply(1), v1alpha1.ReasonProxyFailed, "the proxy PROXY cannot connect to the server (general SOCKS server failure); check that the proxy can reach the URL's host and port, and see the proxy's log"},
		{"SOCKS5 2", "socks5", socksReply(2), v1alpha1.ReasonProxyFailed, "the proxy PROXY forbids the connection; allow server.example:1883 in the proxy's rules"},
		{"SOCKS5 3", "socks5", socksReply(3), v1alpha1.ReasonHostUnreachable, "the proxy PROXY cannot connect to the server: network unreachable; check that the proxy can reach the URL's host and port"},
		{"SOCKS5 4", "socks5", socksReply(4), v1alpha1.ReasonHostUnreachable, "the proxy PROXY cannot connect to the server: the host is unreachable, or its name cannot be resolved; check that the proxy can reach the URL's host and port"},
		{"SOCKS5 5", "socks5", socksReply(5), v1alpha1.ReasonConnectionRefused, "the proxy PROXY cannot connect to the server: connection refused; check that the proxy can reach the URL's host and port"},
		{"SOCKS5 6", "socks5", socksReply(6), v1alpha1.ReasonHostUnreachable, "the proxy PROXY cannot connect to the server: TTL expired in transit; check that the proxy can reach the URL's host and port"},
		{"SOCKS5 7", "socks5", socksReply(7), v1alpha1.ReasonProxyFailed, "the proxy PROXY does not connect to the server: command not supported; see the proxy's log"},
		{"SOCKS5 99", "socks5", socksReply(99), v1alpha1.ReasonProxyFailed, "the proxy PROXY does not connect to the server: unknown code: 99; see the proxy's log"},
		{"HTTP 502", "http", httpReply("HTTP/1.1 502 bad today\r\n\r\n"), v1alpha1.ReasonProxyFailed, "the proxy PROXY cannot connect to the server (HTTP 502 Bad Gateway); check that the proxy can reach the URL's host and port, and see the proxy's log"},
		{"HTTP 405", "http", httpReply("HTTP/1.1 405 x\r\n\r\n"), v1alpha1.ReasonProxyFailed, "the proxy PROXY refuses the connection (HTTP 405 Method Not Allowed); check that proxy.url names a proxy that allows CONNECT"},
		{"HTTP 777", "http", httpReply("HTTP/1.1 777 x\r\n\r\n"), v1alpha1.ReasonProxyFailed, "the proxy PROXY cannot connect to the server (HTTP 777); check that the proxy can reach the URL's host and port, and see the proxy's log"},
		{"HTTP head without end", "http", httpReply("HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", maxHead)), v1alpha1.ReasonProxyFailed, "the response of the proxy PROXY is not valid: its header is longer than 65536 bytes; see the proxy's log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			proxy := listen(t, "127.0.0.1:0", c.serve)
			wantDialError(t, testTimeout, Config{HostPort: "server.example:1883", Proxy: &url.URL{Scheme: c.scheme, Host: proxy}}, c.reason,
				strings.ReplaceAll(c.text, "PROXY", proxy))
		})
	}
}

func TestConnect_ServerDataWithTheResponse_IsNotLost(t *testing.T) {
	proxy := listen(t, "127.0.0.1:0", httpReply("HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\nthe first bytes"))
	c := dial(t, Config{HostPort: "server.example:1883", Proxy: &url.URL{Scheme: "http", Host: proxy}})
	got := make([]byte, len("the first bytes"))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "the first bytes" {
		t.Errorf("%q, %v", got, err)
	}
}
