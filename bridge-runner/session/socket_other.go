// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package session

import "net"

// nonblockingFD exists on Linux only.
type nonblockingFD struct{ idle func() bool }

// sendBuffer bounds the data that the system accepts and the peer has not acknowledged, in
// bytes. The system does not report the actual amount.
const sendBuffer = 256 << 10

// maxHiddenBytes is the largest number of bytes that may be on their way without the
// system's knowledge: in its send buffer, and in the buffers of proxies and of the server.
const maxHiddenBytes = sendBuffer + 256<<10

// newNonblockingFD returns nil. It bounds the send buffer, so that a ping does not wait
// behind megabytes.
func newNonblockingFD(conn net.Conn) *nonblockingFD {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // otherwise the system's default applies
	}
	return nil
}

func (*nonblockingFD) queued() (queued, unsent int64) { return 0, 0 }

func (*nonblockingFD) softError() error { return nil }

func (*nonblockingFD) read([]byte) (int, error) { return 0, net.ErrClosed }

func (*nonblockingFD) write([]byte) (int, error) { return 0, net.ErrClosed }
