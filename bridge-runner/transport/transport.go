// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package transport is one connection to one server: over TCP, TLS or WebSocket,
// straight or through a proxy.
//
// It promises:
//   - Every address of the server's name gets its turn within the context's
//     deadline, whatever the others do (RFC 8305), and the name is resolved afresh
//     each time. With a proxy, the proxy resolves it.
//   - Whatever the transport is, it is a [net.Conn] that carries bytes.
//   - A TLS session is resumed where the server does that, and never with other
//     settings than it was made with. A server that fails with one gets a full
//     handshake at once.
//   - Nothing that the server or the proxy sends makes it take more memory.
//   - The text of an [Error] says what happened and what to do about it, and is the
//     same each time that the same thing happens. It holds no query and no header value
//     of a request.
//
// It knows nothing of MQTT, and does not try again.
package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Config says how to connect.
type Config struct {
	// HostPort is the server's host and port.
	HostPort string
	// TLS is nil for a plain connection. Its ServerName must be set.
	TLS *tls.Config
	// Sessions keeps the TLS sessions of the server from one connection to the next. nil
	// keeps none.
	Sessions *TLSSessions
	// WebSocket says whether to speak MQTT over WebSocket (MQTT 3.1.1 section 6).
	WebSocket bool
	// Path is the path and query of a WebSocket's URL. The query may be a secret.
	Path string
	// Header holds header fields of the request for a WebSocket, which may be secrets.
	Header http.Header
	// Proxy is nil for none, or socks5:// (RFC 1928) or http:// (CONNECT, RFC 9110
	// section 9.3.6) with host and port, and user info where the proxy wants a login.
	Proxy *url.URL
	// Wrap is put around the TCP connection before TLS and WebSocket are spoken
	// over it. It is nil or returns a connection that is closed with the one that
	// Dial returns, or by Dial where that fails. It is called again for a second
	// connection, where the first failed over a TLS session.
	Wrap func(*net.TCPConn) net.Conn
	// UserTimeout is how long what was sent may stay unacknowledged by TCP before
	// the connection fails (TCP_USER_TIMEOUT, RFC 5482). 0 is the system's, some
	// 15 minutes. It takes effect on Linux only.
	UserTimeout time.Duration
}

// Dial connects before the context's deadline. Errors are of type *[Error]. An error
// of the connection's Read or Write is final, except for a read that timed out
// without WebSocket.
func Dial(ctx context.Context, cfg Config) (net.Conn, error) {
	exchange := cfg.Sessions.exchange(cfg.TLS)
	conn, failed := connect(ctx, &cfg, exchange)
	if failed != nil && ctx.Err() == nil {
		if full := exchange.another(failed); full != nil {
			conn, failed = connect(ctx, &cfg, full)
		}
	}
	if failed != nil {
		failed.Message = cfg.Mask(failed.Message)
		return nil, failed
	}
	return conn, nil
}

// connect makes one connection.
func connect(ctx context.Context, cfg *Config, exchange *exchange) (net.Conn, *Error) {
	tcp, failed := dialServer(ctx, cfg)
	if failed != nil {
		return nil, failed
	}
	var conn net.Conn = tcp
	if cfg.Wrap != nil {
		conn = cfg.Wrap(tcp)
	}
	stop := context.AfterFunc(ctx, func() { _ = tcp.Close() }) // ends what waits for the server
	upper, failed := speak(ctx, cfg, exchange, conn)
	if failed == nil && !stop() {
		_ = upper.Close() // with the goroutine that a WebSocket has; the error to tell is the next
		failed = tcpError(ctx, ctx.Err())
	}
	if failed != nil {
		stop()
		_ = conn.Close() // the error to tell is the one before
		return nil, failed
	}
	return upper, nil
}

// dialServer returns a TCP connection whose other end is the server, by way of the
// proxy if there is one.
func dialServer(ctx context.Context, cfg *Config) (*net.TCPConn, *Error) {
	if cfg.Proxy != nil {
		return dialProxy(ctx, cfg)
	}
	tcp, err := dialTCP(ctx, cfg.HostPort, cfg.UserTimeout)
	if err != nil {
		return nil, tcpError(ctx, err)
	}
	return tcp, nil
}

// speak puts TLS and WebSocket over the connection where they are wanted.
func speak(ctx context.Context, cfg *Config, exchange *exchange, conn net.Conn) (net.Conn, *Error) {
	if cfg.TLS != nil {
		secure, err := cfg.Sessions.shakeHands(ctx, cfg.TLS, exchange, conn)
		var failed *Error
		if errors.As(err, &failed) {
			return nil, failed
		}
		conn = secure
	}
	if cfg.WebSocket {
		return upgrade(ctx, cfg, conn)
	}
	return conn, nil
}
