// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package transport makes one connection to one server: over TCP, TLS or WebSocket,
// directly or through a proxy.
//
// It promises:
//   - Each connection resolves the server's name again, and tries all of its addresses, at
//     most 64, within the context's deadline, even if some of them do not answer (RFC 8305).
//     With a proxy, the proxy resolves the name.
//   - For every transport, the connection is a [Conn] that carries bytes. Its writes do not
//     block: the data that the system does not accept at once is buffered.
//   - A TLS session is resumed if the server supports it, and only with the settings that
//     the session was created with. If the handshake fails when it resumes a session, a full
//     handshake follows at once.
//   - The memory that it uses does not depend on the data that a server or proxy sends.
//   - An [Error] says what happened: a [Kind] and facts. The same event always has the same
//     facts. They contain no query and no header value of a request.
//
// The package knows nothing about MQTT or Kubernetes. It does not retry, except for the full
// handshake. Package diagnosis explains its errors to users.
//
// Lock order: TLSSessions.mu and tickets.mu are never held at the same time. webSocket.writeMu
// is held together with neither of them. socket.mu is the last lock: TLS and WebSocket write to
// the socket with their locks held.
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

// Config is the configuration of a connection.
type Config struct {
	// HostPort is the server's host and port, separated by a colon.
	HostPort string
	// TLS is nil for a plain connection. Its ServerName must be set.
	TLS *tls.Config
	// Sessions keeps the TLS sessions of the server from one connection to the next. If it is
	// nil, no sessions are kept.
	Sessions *TLSSessions
	// WebSocket enables MQTT over WebSocket (MQTT 3.1.1 section 6).
	WebSocket bool
	// Path is the path and query of a WebSocket's URL. The query may contain secrets.
	Path string
	// Header has additional header fields of the WebSocket request. Their values may be secrets.
	Header http.Header
	// Proxy is the proxy's URL: socks5:// (RFC 1928) or http:// (CONNECT, RFC 9110
	// section 9.3.6) with host and port, and user info if the proxy requires a login. If it
	// is nil, the connection uses no proxy.
	Proxy *url.URL
	// WriteTimeout is the longest time for which the peer may accept none of the data that was
	// written and not sent. Then the connection fails. 0 means no limit. While Dial runs, TCP
	// applies it to unacknowledged data (TCP_USER_TIMEOUT, RFC 5482), on Linux only.
	WriteTimeout time.Duration
	// DelayReads allows a read to wait 0.3 ms for more data, if data arrives in many small
	// pieces and [Conn.OnIdle] permits it. Then the connection needs less processor time. It
	// takes effect on Linux only.
	DelayReads bool
}

// Dial connects to the server before the context's deadline. Its errors are of type *[Error].
// An error of the connection's Read or Write is final, with one exception: without WebSocket,
// a Read may be repeated after its deadline has passed.
func Dial(ctx context.Context, cfg Config) (*Conn, error) {
	cache := cfg.Sessions.newCache(cfg.TLS)
	conn, failed := connect(ctx, &cfg, cache)
	if failed != nil && ctx.Err() == nil {
		if full := cache.retryWithoutSession(failed); full != nil {
			conn, failed = connect(ctx, &cfg, full)
		}
	}
	if failed != nil {
		failed.mask(&cfg)
		return nil, failed
	}
	return conn, nil
}

// connect makes one attempt to connect.
func connect(ctx context.Context, cfg *Config, cache *ticketCache) (*Conn, *Error) {
	tcp, failed := dialServer(ctx, cfg)
	if failed != nil {
		return nil, failed
	}
	below := newSocket(tcp, cfg.WriteTimeout)
	if cfg.DelayReads {
		below.delay = newReadDelay()
	}
	stop := context.AfterFunc(ctx, func() { _ = tcp.Close() }) // ends all reads and writes that wait for the server
	upper, failed := addLayers(ctx, cfg, cache, below)
	if failed == nil && !stop() {
		_ = upper.Close() // ends the WebSocket's goroutine, too; the next line sets the error
		failed = tcpError(ctx, ctx.Err())
	}
	if failed != nil {
		stop()
		_ = below.Close() // failed is more useful than this error
		return nil, failed
	}
	return &Conn{Conn: upper, socket: below}, nil
}

// dialServer returns a TCP connection to the server, through the proxy if there is one.
func dialServer(ctx context.Context, cfg *Config) (*net.TCPConn, *Error) {
	if cfg.Proxy != nil {
		return dialProxy(ctx, cfg)
	}
	tcp, err := dialTCP(ctx, cfg.HostPort, cfg.WriteTimeout)
	if err != nil {
		return nil, tcpError(ctx, err)
	}
	return tcp, nil
}

// addLayers adds TLS and WebSocket to the connection, as configured.
func addLayers(ctx context.Context, cfg *Config, cache *ticketCache, conn net.Conn) (net.Conn, *Error) {
	if cfg.TLS != nil {
		secure, err := cfg.Sessions.handshake(ctx, cfg.TLS, cache, conn)
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
