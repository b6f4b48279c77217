// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package systemd reports the state of the process to the program that supervises it, by the protocol of
// sd_notify(3): systemd, for units with Type=notify and WatchdogSec.
//
// It promises that a process that makes no progress sends no sign of life, so that systemd restarts it. It
// does not know the meaning of progress: its user does.
package systemd

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// sendTimeout is the longest time that a message may wait for the supervisor.
const sendTimeout = time.Second

// Supervisor is the program that has started this process. A nil Supervisor receives nothing.
type Supervisor struct {
	address net.UnixAddr
	// interval is the time between two signs of life: half of WatchdogSec. It is 0 if the supervisor
	// expects none.
	interval time.Duration
}

// FromEnvironment returns the supervisor that the environment variables of sd_notify(3) describe. pid is
// the identifier of this process. It returns nil if there is no supervisor.
func FromEnvironment(getenv func(string) string, pid int) (*Supervisor, error) {
	path := getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil, nil
	}
	if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "@") {
		return nil, fmt.Errorf("NOTIFY_SOCKET %q is neither an absolute path nor an abstract address, which begins with @; the process that has started the runner sets it", path)
	}
	s := &Supervisor{address: net.UnixAddr{Name: path, Net: "unixgram"}}
	limit := getenv("WATCHDOG_USEC")
	if limit == "" {
		return s, nil
	}
	if of := getenv("WATCHDOG_PID"); of != "" && of != strconv.Itoa(pid) {
		return s, nil // the variables of a parent process
	}
	microseconds, err := strconv.ParseInt(limit, 10, 64)
	if err != nil || microseconds <= 0 {
		return s, fmt.Errorf("WATCHDOG_USEC %q is not a positive number; the process that has started the runner sets it", limit)
	}
	s.interval = time.Duration(microseconds) * time.Microsecond / 2
	return s, nil
}

// Interval returns the time between two signs of life. It is 0 if the supervisor expects none.
func (s *Supervisor) Interval() time.Duration {
	if s == nil {
		return 0
	}
	return s.interval
}

// The states that a process reports.
const (
	Ready    = "READY=1"
	Alive    = "WATCHDOG=1"
	Stopping = "STOPPING=1"
)

// Status returns the state that `systemctl status` shows as text.
func Status(text string) string {
	return "STATUS=" + strings.ReplaceAll(text, "\n", " ")
}

// Report sends states, in one message.
func (s *Supervisor) Report(states ...string) error {
	if s == nil {
		return nil
	}
	conn, err := net.DialUnix(s.address.Net, nil, &s.address)
	if err != nil {
		return fmt.Errorf("reporting to systemd: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return fmt.Errorf("reporting to systemd: %w", err)
	}
	if _, err := conn.Write([]byte(strings.Join(states, "\n"))); err != nil {
		return fmt.Errorf("reporting to systemd: %w", err)
	}
	return nil
}
