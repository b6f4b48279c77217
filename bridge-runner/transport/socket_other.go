// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package transport

import (
	"net"
	"time"
)

// nonblockingFD exists on Linux only.
type nonblockingFD struct{}

// sendBuffer bounds the data that the system accepts and the peer has not acknowledged, in
// bytes. The system does not report the actual amount.
const sendBuffer = 256 << 10

// MaxUnreported is the largest number of bytes that [Transit] counts as acknowledged although
// the peer's TCP has not acknowledged them: the send buffer.
const MaxUnreported = sendBuffer

// newNonblockingFD returns nil. It bounds the send buffer, so that data does not wait
// behind megabytes.
func newNonblockingFD(conn net.Conn) *nonblockingFD {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // otherwise the system's default applies
	}
	return nil
}

func (*nonblockingFD) queued() (queued, unsent int64) { return 0, 0 }

func (*nonblockingFD) softError() error { return nil }

func (*nonblockingFD) read([]byte) (n int, blocks bool, err error) { return 0, false, net.ErrClosed }

func (*nonblockingFD) awaitData() error { return net.ErrClosed }

func (*nonblockingFD) write([]byte) (int, error) { return 0, net.ErrClosed }

// sleepThread is not called: reads are delayed only on Linux.
func sleepThread(d time.Duration) { time.Sleep(d) }
