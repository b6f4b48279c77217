// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import "time"

// Rate limits a drain. 0 is no limit.
type Rate struct {
	Messages int   // a second
	Bytes    int64 // of topics and payloads, a second
}

// paceBurst is how much of a second may go at once, so that a timer need not be set
// for each message.
const paceBurst = 20 * time.Millisecond

// pace spreads messages over time. Unlike a token bucket it lets a message go that is
// larger than any burst, and makes the next ones wait for as long as it takes.
type pace struct {
	rate Rate
	free time.Time // when all that went is paid for
}

func (p *pace) limited() bool { return p.rate != Rate{} }

// wait is for how long nothing may go.
func (p *pace) wait(now time.Time) time.Duration { return p.free.Add(-paceBurst).Sub(now) }

// spend notes that a message has gone.
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
