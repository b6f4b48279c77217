// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// A server may end the session at a notification, because it forbids the topic. Sent again on
// each connection, it would stop both directions. So after some such sessions in a row the
// notification is put off, for longer each time.
const (
	endsInARow = 3
	firstDelay = 30 * time.Second
	lastDelay  = 10 * time.Minute
	// promptEnd is how soon after a QoS 0 notification the session ends if that is why.
	promptEnd = time.Second
)

// reluctance is what is known of a server that ends sessions at notifications.
type reluctance struct {
	ends  int       // sessions in a row
	until time.Time // nothing is sent before
}

// ended notes the end of a session. It reports whether notifications are put off, and for how
// long.
func (r *reluctance) ended(how session.Ending, unanswered bool, now time.Time) (delay time.Duration, off bool) {
	if !how.ByServer || !unanswered {
		return 0, false
	}
	r.ends++
	if r.ends < endsInARow {
		return 0, false
	}
	delay = min(firstDelay<<min(r.ends-endsInARow, 8), lastDelay)
	r.until = now.Add(delay)
	return delay, true
}
