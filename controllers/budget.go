// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import "time"

// The limit of the events of one bridge.
const (
	// eventBurst is the number of events that a bridge without recent events may send at once.
	eventBurst = 10
	// eventInterval is the time after which a bridge may send one more event.
	eventInterval = 30 * time.Second
	// maxEventDebt is the largest number of events for which the budget can be in debt. One
	// transition can have several events, which are sent together: at most one for each of the
	// 15 standby servers of a side.
	maxEventDebt = 16
)

// budget limits the events of a bridge. It is a token bucket, described by the time at which
// the bucket is full again. This time is a part of the record of sent events, so that a
// restarted operator continues with the same budget.
type budget struct {
	fullAt time.Time
	now    time.Time
	// changed says that fullAt must be recorded.
	changed bool
	// wait is the time until the first event that was held may be sent. 0 if none was held.
	wait time.Duration
}

// newBudget returns the budget at a time. recorded is the recorded time at which the budget is
// full. The clock may have jumped back since, or the other operator's clock may be ahead:
// without the correction, the events would be held for the time of the jump.
func newBudget(recorded, now time.Time) budget {
	b := budget{fullAt: recorded, now: now}
	if latest := now.Add((eventBurst + maxEventDebt) * eventInterval); recorded.After(latest) {
		b.fullAt, b.changed = now.Add(eventBurst*eventInterval), true
	}
	return b
}

// take reports whether a number of events may be sent now, and counts them if so. They are sent
// together or not at all: at least one of them must be within the budget, and the budget is in
// debt for the others.
func (b *budget) take(events int) bool {
	if events == 0 {
		return true
	}
	full := b.fullAt
	if full.Before(b.now) {
		full = b.now
	}
	if wait := full.Sub(b.now) - (eventBurst-1)*eventInterval; wait > 0 {
		b.hold(wait)
		return false
	}
	b.fullAt, b.changed = full.Add(time.Duration(events)*eventInterval), true
	return true
}

// hold records that an event may be sent after a time, if the time is not 0.
func (b *budget) hold(wait time.Duration) {
	if wait > 0 && (b.wait == 0 || wait < b.wait) {
		b.wait = wait
	}
}
