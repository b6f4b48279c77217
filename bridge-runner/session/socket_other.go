// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package session

import "net"

// raw is for Linux only.
type raw struct{ idle func() bool }

// sendBuffer bounds the data, in bytes, that the system accepts and the other end has not
// taken. How much that is cannot be asked.
const sendBuffer = 256 << 10

// hidden is how many bytes at most are taken to be on their way that the system does not
// know of: in its send buffer, and in the buffers of proxies and of the server.
const hidden = sendBuffer + 256<<10

// newRaw returns nil. It bounds the send buffer, so that a ping does not wait behind
// megabytes.
func newRaw(conn net.Conn) *raw {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // else the system's size is used
	}
	return nil
}

func (*raw) queued() (queued, unsent int64) { return 0, 0 }

func (*raw) softError() error { return nil }

func (*raw) read([]byte) (int, error) { return 0, net.ErrClosed }

func (*raw) write([]byte) (int, error) { return 0, net.ErrClosed }
