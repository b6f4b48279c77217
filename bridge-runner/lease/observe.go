// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/watch"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/kubeapi"
)

// observer keeps the latest record. Watches and answers of requests arrive in any order.
type observer struct {
	identity string
	records  chan Record // it has at most one element

	// mu guards the fields below. No other lock is taken while it is held.
	mu   sync.Mutex
	last Record
	// at is the time of the latest observation. It is zero before the first one.
	at time.Time
}

func newObserver(identity string) observer {
	return observer{identity: identity, records: make(chan Record, 1)}
}

// event observes the event of a watch.
func (o *observer) event(e kubeapi.Event) error {
	r, err := decode(e.Object)
	if err != nil {
		return err
	}
	if e.Type == watch.Deleted {
		r = Record{Missing: true, version: r.version}
	}
	o.mu.Lock()
	// The first event of a watch is from a consistent read, which is not older than an observation
	// before the watch. So it is right even if its version is lower, after etcd was restored.
	current := e.First && e.Opened.After(o.at)
	o.mu.Unlock()
	o.observe(r, current)
	return nil
}

// observe makes a record the latest one, unless it is older, and returns it with Since. current is
// true if the record is known not to be older.
func (o *observer) observe(r Record, current bool) Record {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := !o.at.IsZero()
	r.Since = o.sinceLocked(r, now)
	if seen && (r.version == o.last.version || !current && olderVersion(r.version, o.last.version)) {
		return r
	}
	o.last, o.at = r, now
	select {
	case <-o.records:
	default:
	}
	o.records <- r
	return r
}

func (o *observer) latest() (r Record, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last, !o.at.IsZero()
}

// sinceLocked returns the time since which the holder's part of the record is as it is.
func (o *observer) sinceLocked(r Record, now time.Time) time.Time {
	if !o.at.IsZero() && !r.Missing && !o.last.Missing && r.sameHold(o.last) {
		return o.last.Since // only the list of members has changed
	}
	if r.Holder != o.identity {
		return now
	}
	// This process made the request before, at RenewTime by its own clock.
	return now.Add(-max(now.Round(0).Sub(r.RenewTime), 0))
}

// olderVersion reports whether a resourceVersion is lower than another one. The API server promises
// this order for the versions of an object.
func olderVersion(version, than string) bool {
	a, errA := strconv.ParseUint(version, 10, 64)
	b, errB := strconv.ParseUint(than, 10, 64)
	return errA == nil && errB == nil && a < b
}
