// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Ports are below the range of ephemeral ports (32768 and up on Linux). A broker that is down must
// find its port free when it starts again, and a client that dials a closed port in that range can
// connect to itself.
const (
	firstPort = 10000
	portCount = 20000
)

// The start value differs between test processes that run at the same time.
var portCounter atomic.Uint32

func init() { portCounter.Store(uint32(os.Getpid()) * 97) }

// FreePort returns a loopback port without a listener.
func FreePort(t testing.TB) int {
	t.Helper()
	// Without the lock, a child that is forked meanwhile would hold the listener until it executes
	// its program.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	l, port := listen(t)
	_ = l.Close()
	return port
}

// listen listens on an unused loopback port.
func listen(t testing.TB) (l net.Listener, port int) {
	t.Helper()
	for range 1000 {
		port = firstPort + int(portCounter.Add(1)%portCount)
		var err error
		if l, err = net.Listen("tcp", address(port)); err == nil {
			return l, port
		}
	}
	t.Fatal("no free port")
	return nil, 0
}

// loopback is the address on which the helpers listen.
const loopback = "127.0.0.1"

func address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// pollInterval is the time between two reads of a state that cannot be awaited.
const pollInterval = 10 * time.Millisecond

// Eventually waits until ok returns nil. If that does not happen within the timeout, it fails the
// test with the last error.
func Eventually(t testing.TB, timeout time.Duration, what string, ok func() error) {
	t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s: %v", timeout, what, err)
		}
		time.Sleep(pollInterval)
	}
}

// FreeAddress returns a TCP address of this machine on which nothing listens (FreePort).
func FreeAddress(t testing.TB) string {
	t.Helper()
	return address(FreePort(t))
}
