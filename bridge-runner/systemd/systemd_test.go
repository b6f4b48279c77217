// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestFromEnvironment_Variables_GiveSupervisorAndInterval(t *testing.T) {
	const pid = 7
	for name, tt := range map[string]struct {
		env        map[string]string
		supervised bool
		interval   time.Duration
		fault      string // a part of the message; empty: none
	}{
		"started by hand": {env: map[string]string{"WATCHDOG_USEC": "1000000"}},
		"no watchdog":     {env: map[string]string{"NOTIFY_SOCKET": "/run/systemd/notify"}, supervised: true},
		"abstract socket": {env: map[string]string{"NOTIFY_SOCKET": "@notify"}, supervised: true},
		"watchdog":        {env: map[string]string{"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, supervised: true, interval: 30 * time.Second},
		"watchdog without a process": {
			env: map[string]string{"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "60000000"}, supervised: true, interval: 30 * time.Second,
		},
		"watchdog of a parent": {env: map[string]string{"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, supervised: true},
		"watchdog not a number": {
			env: map[string]string{"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1m"}, supervised: true, fault: `WATCHDOG_USEC "1m"`,
		},
		"relative path": {env: map[string]string{"NOTIFY_SOCKET": "run/notify"}, fault: `NOTIFY_SOCKET "run/notify"`},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := FromEnvironment(environment(tt.env), pid)
			if (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("the error is %v, want %q", err, tt.fault)
			}
			if (s != nil) != tt.supervised || s.Interval() != tt.interval {
				t.Errorf("supervised: %t, interval: %s; want %t, %s", s != nil, s.Interval(), tt.supervised, tt.interval)
			}
		})
	}
}

func TestReport_States_ArriveInOneMessage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	s, err := FromEnvironment(environment(map[string]string{"NOTIFY_SOCKET": path}), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Report(Ready, Status("two\nlines")); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 100)
	n, err := socket.Read(buffer)
	if got := string(buffer[:n]); err != nil || got != "READY=1\nSTATUS=two lines" {
		t.Errorf("%q arrives (%v)", got, err)
	}
}

func TestReport_NoSupervisor_DoesNothing(t *testing.T) {
	var none *Supervisor
	if err := none.Report(Ready); err != nil {
		t.Error(err)
	}
}

func TestReport_SupervisorIsGone_Fails(t *testing.T) {
	s, err := FromEnvironment(environment(map[string]string{"NOTIFY_SOCKET": filepath.Join(t.TempDir(), "absent")}), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Report(Ready); err == nil || !strings.Contains(err.Error(), "reporting to systemd") {
		t.Errorf("the error is %v", err)
	}
}
