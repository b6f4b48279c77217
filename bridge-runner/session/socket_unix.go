// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package session

import (
	"errors"
	"net"
	"syscall"
)

// nonBlocking returns a function that writes as much as the system takes at once.
// Where a connection has no descriptor it takes nothing.
func nonBlocking(conn net.Conn) func([]byte) (int, error) {
	var raw syscall.RawConn
	if c, ok := conn.(syscall.Conn); ok {
		raw, _ = c.SyscallConn() // nil where it fails
	}
	if raw == nil {
		return func([]byte) (int, error) { return 0, nil }
	}
	var (
		data  []byte
		taken int
		fail  error
	)
	// One function for all writes, so that none of them allocates.
	write := func(fd uintptr) bool {
		for {
			n, err := syscall.Write(int(fd), data)
			switch {
			case errors.Is(err, syscall.EINTR):
				continue
			case errors.Is(err, syscall.EAGAIN):
			case err != nil:
				fail = err
			default:
				taken = n
			}
			return true
		}
	}
	return func(p []byte) (int, error) {
		data, taken, fail = p, 0, nil
		err := raw.Write(write)
		data = nil
		if err != nil {
			return taken, err
		}
		return taken, fail
	}
}
