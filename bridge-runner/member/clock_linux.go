// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"time"

	"golang.org/x/sys/unix"
)

// uptime is the time since the start of the machine. Unlike the clock of package time, it counts the
// time for which the machine was suspended.
func uptime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil { // not reached: the clock exists since Linux 2.6.39
		return time.Since(start)
	}
	return time.Duration(t.Nano())
}

var start = time.Now()
