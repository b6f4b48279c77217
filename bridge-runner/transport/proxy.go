// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/proxy"
)

// dialProxy returns a connection that the proxy has made to the server.
func dialProxy(ctx context.Context, cfg *Config) (*net.TCPConn, *Error) {
	conn, err := dialTCP(ctx, cfg.Proxy.Host, cfg.UserTimeout)
	if err != nil {
		return nil, proxyUnreachable(ctx, cfg, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends all reads and writes that wait for the proxy
	var failed *Error
	switch cfg.Proxy.Scheme {
	case "socks5":
		failed = connectSOCKS(ctx, cfg, conn)
	case "http":
		failed = connectHTTP(ctx, cfg, conn)
	default:
		failed = proxyError(cfg, ProxySchemeUnknown, cfg.Proxy.Scheme, nil)
	}
	if failed == nil && !stop() {
		failed = proxyNoResponse(ctx, cfg, ctx.Err())
	}
	if failed != nil {
		stop()
		_ = conn.Close() // failed is more useful than this error
		return nil, failed
	}
	return conn, nil
}

// connDialer is a dialer that returns an existing connection.
type connDialer struct{ net.Conn }

func (m connDialer) Dial(string, string) (net.Conn, error) { return m.Conn, nil }

func (m connDialer) DialContext(context.Context, string, string) (net.Conn, error) {
	return m.Conn, nil
}

// connectSOCKS requests a connection to the server from a SOCKS5 proxy (RFC 1928). It reads only
// the proxy's replies, and no byte after them.
func connectSOCKS(ctx context.Context, cfg *Config, conn *net.TCPConn) *Error {
	var login *proxy.Auth
	if user := cfg.Proxy.User; user != nil {
		login = &proxy.Auth{User: user.Username()}
		login.Password, _ = user.Password()
	}
	dialer, err := proxy.SOCKS5("tcp", cfg.Proxy.Host, login, connDialer{conn})
	if err == nil {
		_, err = dialer.(proxy.ContextDialer).DialContext(ctx, "tcp", withoutZone(cfg.HostPort))
	}
	if err != nil {
		return socksError(ctx, cfg, err)
	}
	return nil
}

// connectHTTP requests a tunnel to the server from an HTTP proxy (RFC 9110 section 9.3.6).
func connectHTTP(ctx context.Context, cfg *Config, conn *net.TCPConn) *Error {
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
		return proxyNoResponse(ctx, cfg, err)
	}
	response, err := readHead(byteReader{conn})
	switch {
	case err != nil && (TimedOut(ctx, err) || Closed(err)):
		return proxyNoResponse(ctx, cfg, err)
	case errors.Is(err, errHeadTooLong):
		return proxyError(cfg, ProxyHeadTooLong, errHeadTooLong.Error(), err)
	case errors.Is(err, errIsTLS):
		return proxyError(cfg, ProxyExpectsTLS, "", err)
	case errors.Is(err, errNotHTTP):
		return notAProxy(cfg, err)
	case err != nil:
		return proxyError(cfg, ProxyConnectionFailed, CauseText(err), err)
	case response.code/100 != 2:
		return connectRefused(cfg, response)
	}
	// A successful response has no body, even if it has a Content-Length or Transfer-Encoding:
	// the bytes after it come from the server.
	return nil
}

// withoutZone returns a host and port without the zone of an IPv6 address. A zone is valid only on
// the host that defines it (RFC 6874 section 1).
func withoutZone(hostPort string) string {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil { // the proxy reports the error
		return hostPort
	}
	host, _, _ = strings.Cut(host, "%")
	return net.JoinHostPort(host, port)
}

// userAgent is the User-Agent header of HTTP requests.
const userAgent = "mqttbridge"
