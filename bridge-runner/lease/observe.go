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
	// behind is true if the latest watch has begun with an older record: the API server's cache may be behind,
	// or etcd was restored, so that the versions are lower.
	behind bool
}

func newObserver(identity string) observer {
	return observer{identity: identity, records: make(chan Record, 1)}
}

// event observes the event of a watch. It reports whether the caller must read the Lease, to find out whether
// an older record is the present one.
func (o *observer) event(e kubeapi.Event) (mustRead bool, err error) {
	r, err := decode(e.Object)
	if err != nil {
		return false, err
	}
	if e.Type == watch.Deleted {
		r = Record{Missing: true, version: r.version}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	older := o.olderLocked(r)
	o.behind = older && (o.behind || e.First)
	o.observeLocked(r, false)
	return o.behind, nil
}

// answer observes the answer to a read that began at a time. A read is consistent: it is not older than an
// observation before it. So it is right even if its version is lower, after etcd was restored.
func (o *observer) answer(r Record, began time.Time) Record {
	o.mu.Lock()
	defer o.mu.Unlock()
	current := began.After(o.at)
	if current {
		o.behind = false
	}
	return o.observeLocked(r, current)
}

// observe makes a record the latest one, unless it is older, and returns it with Since.
func (o *observer) observe(r Record) Record {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.observeLocked(r, false)
}

// observeLocked is observe. current is true if the record is known not to be older.
func (o *observer) observeLocked(r Record, current bool) Record {
	now := time.Now()
	r.Since = o.sinceLocked(r, now)
	if !o.at.IsZero() && r.version == o.last.version || !current && o.olderLocked(r) {
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

// olderLocked reports whether the version of a record is lower than the version of the latest one.
func (o *observer) olderLocked(r Record) bool {
	return !o.at.IsZero() && olderVersion(r.version, o.last.version)
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
