// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

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
		_, err = dialer.(proxy.ContextDialer).DialContext(ctx, "tcp", cfg.HostPort)
	}
	if err != nil {
		return socksError(ctx, cfg, err)
	}
	return nil
}

// maxHead bounds what is read of the head of an HTTP answer.
const maxHead = 64 << 10

// httpConnect asks an HTTP proxy for a tunnel to the server (RFC 9110 section 9.3.6).
func httpConnect(ctx context.Context, cfg *Config, conn *net.TCPConn) *Error {
	request := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: cfg.HostPort},
		Host:   cfg.HostPort,
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
	answer, err := http.ReadResponse(bufio.NewReader(io.LimitReader(byteReader{conn}, maxHead)), request)
	switch {
	case err != nil && (TimedOut(ctx, err) || Closed(err)):
		return proxySilent(ctx, cfg.Proxy.Host, err)
	case err != nil:
		return notAProxy(cfg.Proxy, err)
	}
	_ = answer.Body.Close() // what follows is the server's
	if answer.StatusCode/100 != 2 {
		return connectRefused(cfg, answer.StatusCode)
	}
	return nil
}

// userAgent is what HTTP servers are told.
const userAgent = "mqttbridge"

// byteReader reads byte by byte, so that what reads an answer through a buffer takes
// nothing of what comes after it.
type byteReader struct{ io.Reader }

func (r byteReader) Read(p []byte) (int, error) {
	if len(p) > 1 {
		p = p[:1]
	}
	return r.Reader.Read(p)
}
