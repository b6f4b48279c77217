// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/proxy"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// dialProxy has the proxy connect to the server.
func dialProxy(ctx context.Context, cfg *Config) (*net.TCPConn, *Error) {
	conn, err := dialTCP(ctx, cfg.Proxy.Host, cfg.UserTimeout)
	if err != nil {
		return nil, proxyUnreachable(ctx, cfg.Proxy.Host, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends what waits for the proxy
	var failed *Error
	switch cfg.Proxy.Scheme {
	case "socks5":
		failed = socks(ctx, cfg, conn)
	case "http":
		failed = httpConnect(ctx, cfg, conn)
	default:
		failed = &Error{v1alpha1.ReasonProxyFailed, fmt.Sprintf("a proxy's URL begins with socks5:// or http://, not with %s://", cfg.Proxy.Scheme), nil}
	}
	if failed == nil && !stop() {
		failed = proxySilent(ctx, cfg.Proxy.Host, ctx.Err())
	}
	if failed != nil {
		stop()
		_ = conn.Close() // the error to tell is the one before
		return nil, failed
	}
	return conn, nil
}

// made is a dialer of the one connection that is there already.
type made struct{ net.Conn }

func (m made) Dial(string, string) (net.Conn, error) { return m.Conn, nil }

func (m made) DialContext(context.Context, string, string) (net.Conn, error) { return m.Conn, nil }

// socks asks a SOCKS5 proxy (RFC 1928) for a connection to the server. It reads no
// byte more than the answer.
func socks(ctx context.Context, cfg *Config, conn *net.TCPConn) *Error {
	var login *proxy.Auth
	if user := cfg.Proxy.User; user != nil {
		login = &proxy.Auth{User: user.Username()}
		login.Password, _ = user.Password()
	}
	dialer, err := proxy.SOCKS5("tcp", cfg.Proxy.Host, login, made{conn})
	if err == nil {
		_, err = dialer.(proxy.ContextDialer).DialContext(ctx, "tcp", withoutZone(cfg.HostPort))
	}
	if err != nil {
		return socksError(ctx, cfg, err)
	}
	return nil
}

// httpConnect asks an HTTP proxy for a tunnel to the server (RFC 9110 section 9.3.6).
func httpConnect(ctx context.Context, cfg *Config, conn *net.TCPConn) *Error {
	server := withoutZone(cfg.HostPort)
	request := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: server},
		Host:   server,
		Header: http.Header{"User-Agent": {userAgent}},
	}
	if user := cfg.Proxy.User; user != nil {
		password, _ := user.Password()
		login := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		request.Header.Set("Proxy-Authorization", "Basic "+login)
	}
	if err := request.Write(conn); err != nil {
		return proxySilent(ctx, cfg.Proxy.Host, err)
	}
	answer, err := readHead(byteReader{conn})
	switch {
	case err != nil && (TimedOut(ctx, err) || Closed(err)):
		return proxySilent(ctx, cfg.Proxy.Host, err)
	case errors.Is(err, errLongHead):
		return proxyFailed(err, "the answer of the proxy %s is refused: %s; look at the proxy's log", cfg.Proxy.Host, errLongHead)
	case errors.Is(err, errTLSThere):
		return proxyFailed(err, "the proxy %s expects TLS there, which the bridge does not speak to proxies; use a port of the proxy without TLS in proxy.url", cfg.Proxy.Host)
	case errors.Is(err, errNotHTTP):
		return notAProxy(cfg.Proxy, err)
	case err != nil:
		return proxyFailed(err, "the proxy %s failed: %s", cfg.Proxy.Host, Cause(err))
	case answer.code/100 != 2:
		return connectRefused(cfg, answer)
	}
	// A successful answer has no body, whatever its Content-Length or
	// Transfer-Encoding: what follows is the server's.
	return nil
}

// withoutZone returns a host and port without the zone that an IPv6 address may have, which
// means nothing to another host (RFC 6874 section 1).
func withoutZone(hostPort string) string {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil { // the proxy says what is wrong with it
		return hostPort
	}
	host, _, _ = strings.Cut(host, "%")
	return net.JoinHostPort(host, port)
}

// userAgent is what HTTP servers are told.
const userAgent = "mqttbridge"
