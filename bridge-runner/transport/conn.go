// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"crypto/tls"
	"net"
	"time"
)

// Conn is a connection to a server. Read and Write carry the bytes of the uppermost layer.
// Write accepts all bytes and does not block. The other methods are about the TCP connection
// below all layers, and any goroutine may call them. One goroutine at a time may read.
type Conn struct {
	net.Conn         // TCP, or TLS or WebSocket over it
	socket   *socket // below all of them
}

// Transit describes how far the data that was written to the TCP connection has come, in
// bytes. On platforms other than Linux all data that the system has accepted counts as
// acknowledged.
type Transit struct {
	Written  int64 // bytes that were written
	TCPAcked int64 // bytes that the peer's TCP has acknowledged
	Unsent   int64 // bytes that were not sent: the peer, or the link, is slower than the writers
}

// Transit queries the system how far the data has come.
func (c *Conn) Transit() Transit { return c.socket.transit() }

// Written returns the same as Transit().Written, without a query.
func (c *Conn) Written() int64 { return c.socket.written.Load() }

// Buffered returns the number of bytes that were written and not accepted by the system. It does
// not count the bytes that the connection's goroutine is passing to the system.
func (c *Conn) Buffered() int { return c.socket.buffered() }

// OnWritable registers fn to run when Buffered has become 0. fn replaces an earlier function.
func (c *Conn) OnWritable(fn func()) { c.socket.onWritable(fn) }

// OnIdle registers fn to run when no more data can be read at present, before Read waits, and after
// 256 KiB without such a wait. On platforms other than Linux it runs before every read of the TCP
// connection. The goroutine that reads must call OnIdle, and calls fn. fn returns whether the next
// data may be delayed, see [Config.DelayReads].
func (c *Conn) OnIdle(fn func() (mayDelay bool)) { c.socket.onIdle(fn) }

// LastReceived returns when bytes last arrived from the peer; before the first bytes, when the
// connection was made.
func (c *Conn) LastReceived() time.Time { return c.socket.lastReceived() }

// WriteError returns the error of the first failed write to the TCP connection. It is nil if no
// write has failed. A failed write closes the connection, and Read then returns another error.
func (c *Conn) WriteError() error { return c.socket.failure() }

// SoftError returns an error that the network has reported for a connection on which nothing
// is acknowledged, for example that the host is unreachable. It returns nil if there is none.
func (c *Conn) SoftError() error { return c.socket.fd.softError() }

// TLS returns the state of the TLS connection, or nil if the connection has no TLS.
func (c *Conn) TLS() *tls.ConnectionState {
	for conn := c.Conn; ; {
		switch layer := conn.(type) {
		case *webSocket:
			conn = layer.Conn
		case *upgradeConn:
			conn = layer.Conn
		case interface{ ConnectionState() tls.ConnectionState }:
			return new(layer.ConnectionState())
		default:
			return nil
		}
	}
}

// CloseWrite sends all written bytes, and signals the end of the data to the server in each
// layer. It blocks until then, or until the connection is closed.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.Conn != net.Conn(c.socket) {
		if err := half.CloseWrite(); err != nil {
			return err
		}
	}
	return c.socket.CloseWrite()
}
