// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"sync"
	"time"
)

const (
	// rateInterval is the shortest time between two counts that make a rate. Several browsers may show
	// the page at the same time.
	rateInterval = time.Second
	// rateAge is the longest such time. An earlier count is forgotten.
	rateAge = 30 * time.Second
)

// rates computes rates from the counts of the last times that the page was requested. It keeps nothing
// for longer than the next request after rateAge.
type rates struct {
	mu     sync.Mutex // no other lock is taken while it is held
	counts map[string]*counts
}

// counts are the counts of one direction of a bridge at two times.
type counts struct{ earlier, latest reading }

// reading is the counts of a direction at a time.
type reading struct {
	at              time.Time
	messages, bytes uint64
}

// rate is the rate of a direction, per second. ok is false if there is no earlier reading yet.
type rate struct {
	messages, bytes float64
	ok              bool
}

func newRates() *rates { return &rates{counts: map[string]*counts{}} }

// of records the counts of a direction, and returns its rate. Requests that overlap may record their counts in
// another order than they have read them. The rate of an earlier reading is the rate up to the latest one.
func (r *rates) of(key string, now reading) rate {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.counts[key]
	switch {
	case c != nil && !now.at.After(c.latest.at):
		now = c.latest
	case c == nil, now.at.Sub(c.latest.at) > rateAge, now.messages < c.latest.messages, now.bytes < c.latest.bytes:
		r.counts[key] = &counts{earlier: now, latest: now}
		return rate{}
	case now.at.Sub(c.latest.at) >= rateInterval:
		c.earlier, c.latest = c.latest, now
	}
	took := now.at.Sub(c.earlier.at)
	if took < rateInterval {
		return rate{}
	}
	return rate{
		messages: float64(now.messages-c.earlier.messages) / took.Seconds(),
		bytes:    float64(now.bytes-c.earlier.bytes) / took.Seconds(),
		ok:       true,
	}
}

// forget removes the counts that are too old for a rate.
func (r *rates) forget(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, c := range r.counts {
		if now.Sub(c.latest.at) > rateAge {
			delete(r.counts, key)
		}
	}
}
