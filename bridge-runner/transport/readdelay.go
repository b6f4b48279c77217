// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import "time"

const (
	// coalesceTime is how long a read is delayed. The system adds about 0.05 ms.
	coalesceTime = 300 * time.Microsecond
	// Reads become frequent at more than manyReads per millisecond. They stay frequent at
	// more than fewReads per millisecond, because reads that wait are fewer.
	manyReads, fewReads = 3, 1
)

// readDelay delays reads of data that has arrived, so that each read returns more of it, if
// reads are frequent. A wake-up costs about five system calls, independent of the amount of
// data; if data arrives in many small pieces, that is more than handling it. Network cards do
// the same (interrupt moderation).
//
// A read is delayed at most once, by coalesceTime. So no byte is delayed by more, and the time
// of the system's timer.
type readDelay struct {
	rate readRate
	// now and sleep are the clock.
	now   func() time.Time
	sleep func(time.Duration)
}

func newReadDelay() *readDelay { return &readDelay{now: time.Now, sleep: sleepThread} }

// beforeRead is called before a read of data that has arrived and may be delayed. A nil
// readDelay does nothing.
func (d *readDelay) beforeRead() {
	if d != nil && d.rate.add(d.now()) {
		d.sleep(coalesceTime)
	}
}

// readRate measures how often a connection has data to read.
type readRate struct {
	since time.Time // start of the current count
	count int       // reads since then
	many  bool      // reads were frequent when the last count ended
}

// add counts one read and reports whether reads are frequent.
func (w *readRate) add(now time.Time) bool {
	w.count++
	if passed := now.Sub(w.since); passed >= time.Millisecond {
		w.many = passed < 2*time.Millisecond && (w.count > manyReads || w.many && w.count > fewReads)
		w.since, w.count = now, 0
	}
	return w.many
}
