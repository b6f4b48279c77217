// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// notifySocket is the socket of a supervisor with a watchdog.
type notifySocket struct {
	t    *testing.T
	conn *net.UnixConn
}

// newNotifySocket sets the variables that systemd sets for a unit with this WatchdogSec.
func newNotifySocket(t *testing.T, watchdogMicroseconds string) *notifySocket {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", watchdogMicroseconds)
	t.Setenv("WATCHDOG_PID", "")
	return &notifySocket{t, conn}
}

// next returns the lines of the next message, nil if none arrives within a time.
func (n *notifySocket) next(within time.Duration) []string {
	n.t.Helper()
	if err := n.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		n.t.Fatal(err)
	}
	buffer := make([]byte, 1000)
	length, err := n.conn.Read(buffer)
	if err != nil {
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			n.t.Fatal(err)
		}
		return nil
	}
	return strings.Split(string(buffer[:length]), "\n")
}

// want waits for a message with a line.
func (n *notifySocket) want(line string) {
	n.t.Helper()
	const limit = 10 * time.Second
	for end := time.Now().Add(limit); time.Now().Before(end); {
		for _, got := range n.next(limit) {
			if got == line {
				return
			}
		}
	}
	n.t.Fatalf("no message with %s", line)
}

func TestSupervise_ProcessMakesProgress_SignsOfLifeUntilItStops(t *testing.T) {
	const watchdog = "20000" // 20 ms
	n := newNotifySocket(t, watchdog)
	var alive atomic.Pointer[error]
	alive.Store(new(error))
	ctx, cancel := context.WithCancel(t.Context())
	stop := supervise(ctx, func() error { return *alive.Load() }, func() string { return "bridges that forward: 1 of 2" }, slog.New(slog.DiscardHandler))

	n.want("READY=1")
	n.want("WATCHDOG=1")
	stuck := errors.New("no progress")
	alive.Store(&stuck)
	quiet := 0
	for range 100 { // messages that were sent before may still arrive
		if n.next(100*time.Millisecond) == nil {
			quiet++
			break
		}
	}
	if quiet == 0 {
		t.Fatal("a process without progress still sends signs of life")
	}
	alive.Store(new(error))
	n.want("WATCHDOG=1")
	cancel()
	n.want("STOPPING=1")
	n.want("WATCHDOG=1") // it drains
	stop()
}

func TestSupervise_ProcessEndsAtOnce_ReportsThatItStops(t *testing.T) {
	for range 50 { // the end and the request to stop race
		n := newNotifySocket(t, "")
		ctx, cancel := context.WithCancel(t.Context())
		stop := supervise(ctx, nil, func() string { return "" }, slog.New(slog.DiscardHandler))
		n.want("READY=1")
		cancel()
		stop()
		n.want("STOPPING=1")
	}
}

func TestSupervise_FirstMessage_HasSummary(t *testing.T) {
	n := newNotifySocket(t, "")
	stop := supervise(t.Context(), func() error { return nil }, func() string { return "bridges that forward: 1 of 2" }, slog.New(slog.DiscardHandler))
	defer stop()
	const want = "READY=1 STATUS=bridges that forward: 1 of 2"
	if got := strings.Join(n.next(10*time.Second), " "); got != want {
		t.Errorf("%q arrives, want %q", got, want)
	}
}

func TestSupervise_InvalidSocket_IsLoggedAndTheProcessContinues(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "relative")
	var log strings.Builder
	supervise(t.Context(), nil, nil, slog.New(slog.NewTextHandler(&log, nil)))()
	if !strings.Contains(log.String(), "relative") {
		t.Errorf("the log does not name the address: %s", &log)
	}
}
