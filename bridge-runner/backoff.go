// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// A server may end the session at a notification, because it forbids the topic. If the
// notification were sent again on each connection, both directions would stop. So after
// maxEnds such sessions in a row the bridge delays notifications: first by firstDelay, and
// twice as long after each further session, up to lastDelay.
const (
	maxEnds    = 3
	firstDelay = 30 * time.Second
	lastDelay  = 10 * time.Minute
	// promptEnd is the time after a QoS 0 notification within which the end of the session
	// is attributed to the notification.
	promptEnd = time.Second
)

// notificationBackoff delays the notifications to a server that ends sessions at them.
type notificationBackoff struct {
	ends  int       // the number of sessions in a row that the server ended at a notification
	until time.Time // no notification is sent before this time; zero: no delay
}

// sessionEnded records the end of a session. unanswered is true if a notification was sent
// and not acknowledged. delayed reports whether notifications are delayed from now on.
func (b *notificationBackoff) sessionEnded(how session.Ending, unanswered bool, now time.Time) (delay time.Duration, delayed bool) {
	if !how.ByServer || !unanswered {
		return 0, false
	}
	b.ends++
	if b.ends < maxEnds {
		return 0, false
	}
	delay = min(firstDelay<<min(b.ends-maxEnds, 8), lastDelay)
	b.until = now.Add(delay)
	return delay, true
}
