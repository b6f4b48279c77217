// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package session

import "net"

// nonBlocking returns a function that takes nothing: the socket's goroutine writes.
func nonBlocking(net.Conn) func([]byte) (int, error) {
	return func([]byte) (int, error) { return 0, nil }
}
