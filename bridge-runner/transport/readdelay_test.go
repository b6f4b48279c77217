// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"testing"
	"time"
)

func TestReadRate_FrequentReads_AreMany(t *testing.T) {
	var w readRate
	now := time.Now()
	for _, tc := range []struct {
		name  string
		every time.Duration
		want  bool
	}{
		{"1,000 a second", time.Millisecond, false},
		{"2,500 a second", 400 * time.Microsecond, false},
		{"20,000 a second", 50 * time.Microsecond, true},
		{"2,500 a second after that, because each read waits", 400 * time.Microsecond, true},
		{"1,000 a second after that", time.Millisecond, false},
		{"2,500 a second after that", 400 * time.Microsecond, false},
		{"40,000 a second", 25 * time.Microsecond, true},
		{"a single read after a pause", 5 * time.Millisecond, false},
	} {
		var many bool
		for end := now.Add(2100 * time.Microsecond); now.Before(end); {
			now = now.Add(tc.every)
			many = w.add(now)
		}
		if many != tc.want {
			t.Errorf("%s: many is %t", tc.name, many)
		}
	}
}

// manualDelay is a readDelay with a clock of its own. The clock advances by every at each read.
type manualDelay struct {
	readDelay
	every  time.Duration
	clock  time.Time
	sleeps []time.Duration
	// during is called while a read sleeps.
	during func()
}

func newManualDelay(every time.Duration) *manualDelay {
	d := &manualDelay{every: every, clock: time.Now(), during: func() {}}
	d.now = func() time.Time {
		d.clock = d.clock.Add(d.every)
		return d.clock
	}
	d.sleep = func(pause time.Duration) {
		d.sleeps = append(d.sleeps, pause)
		d.during()
	}
	return d
}

// The times between two reads at which reads are frequent, and at which they are not.
const (
	frequent = 50 * time.Microsecond
	rare     = 400 * time.Microsecond
)

// makeFrequent lets a delay count reads until they are frequent.
func (d *manualDelay) makeFrequent() {
	for !d.rate.many {
		d.rate.add(d.now())
	}
}

func TestReadDelay_ReadsBelowTheRate_AreNotDelayed(t *testing.T) {
	d := newManualDelay(rare)
	for range 1000 {
		d.beforeRead()
	}
	if len(d.sleeps) != 0 {
		t.Errorf("%d of 1000 reads were delayed", len(d.sleeps))
	}
}

func TestReadDelay_FrequentReads_AreDelayedOnceEach(t *testing.T) {
	d := newManualDelay(frequent)
	d.makeFrequent()
	for range 1000 {
		d.beforeRead()
	}
	if len(d.sleeps) != 1000 {
		t.Errorf("%d of 1000 reads were delayed", len(d.sleeps))
	}
	for _, pause := range d.sleeps {
		if pause != coalesceTime {
			t.Fatalf("a read was delayed by %v", pause)
		}
	}
}

// A message waits for one delay at most, see TestSocket_DataArrives_WaitsForOneDelay.
func TestSleepThread_Delay_TakesLessThanAMillisecond(t *testing.T) {
	for range 100 { // a signal ends some early, and on a busy machine some take longer
		start := time.Now()
		sleepThread(coalesceTime)
		if took := time.Since(start); took >= coalesceTime && took <= time.Millisecond {
			return
		}
	}
	t.Errorf("no delay of %v took less than a millisecond", coalesceTime)
}
