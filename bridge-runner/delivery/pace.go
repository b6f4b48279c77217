// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import "time"

// DrainRate limits a drain. A field that is 0 sets no limit.
type DrainRate struct {
	// Messages is the number of messages per second.
	Messages int
	// Bytes is the size of topics and payloads per second.
	Bytes int64
}

// paceBurst is how far messages may be ahead of the rate, so that the timer need not be
// set for each message.
const paceBurst = 20 * time.Millisecond

// pace spreads messages over time. Unlike a token bucket, it lets a message pass that is
// larger than any burst, and delays the following messages for the time that it takes.
type pace struct {
	rate DrainRate
	// free is when the messages sent so far have used their time.
	free time.Time
}

func (p *pace) limited() bool { return p.rate != DrainRate{} }

// wait returns the time for which nothing may be sent.
func (p *pace) wait(now time.Time) time.Duration { return p.free.Add(-paceBurst).Sub(now) }

// spend accounts for a message that was sent.
func (p *pace) spend(now time.Time, bytes int) {
	var cost time.Duration
	if p.rate.Messages > 0 {
		cost = time.Second / time.Duration(p.rate.Messages)
	}
	if p.rate.Bytes > 0 {
		cost = max(cost, time.Duration(float64(bytes)/float64(p.rate.Bytes)*float64(time.Second)))
	}
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(cost)
}
