// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package member

import "time"

var start = time.Now()

// uptime is the time since the start of the process.
func uptime() time.Duration { return time.Since(start) }
