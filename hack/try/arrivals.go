// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// arrivals records the messages that the remote servers receive. A server reports each message before
// it acknowledges it, so that the record is complete also for a killed server.
type arrivals struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
	all     []traffic.Arrival
	count   map[string]int // of the arrivals from each server
	seen    map[uint64]bool
}

func newArrivals() *arrivals {
	return &arrivals{changed: make(chan struct{}), count: map[string]int{}, seen: map[uint64]bool{}}
}

// add records a payload. It ignores messages of other publishers.
func (a *arrivals) add(server string, payload []byte) {
	now := time.Now()
	message, ok := traffic.Decode(payload)
	if !ok || message.Stream != stream {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, traffic.Arrival{Message: message, Server: server, Time: now})
	a.count[server]++
	a.seen[message.Seq] = true
	close(a.changed)
	a.changed = make(chan struct{})
}

// list returns the arrivals so far. The caller does not change the elements.
func (a *arrivals) list() []traffic.Arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all[:len(a.all):len(a.all)]
}

// counts returns the number of different messages, and the number of arrivals from a server.
func (a *arrivals) counts(server string) (different, from int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.seen), a.count[server]
}

// since returns the arrivals after a time, in order of arrival.
func (a *arrivals) since(t time.Time) []traffic.Arrival {
	all := a.list()
	i := len(all)
	for i > 0 && all[i-1].Time.After(t) {
		i--
	}
	return all[i:]
}

// waitFrom waits for the first message that a server receives after a time. An empty name stands for
// all servers.
func (a *arrivals) waitFrom(ctx context.Context, server string, after time.Time) (first traffic.Arrival, err error) {
	err = a.wait(ctx, "no message has arrived at "+server, func() bool {
		for _, arrival := range a.since(after) {
			if server == "" || arrival.Server == server {
				first = arrival
				return true
			}
		}
		return false
	})
	return first, err
}

// waitAll waits until all acknowledged messages have arrived.
func (a *arrivals) waitAll(ctx context.Context, l traffic.Ledger) error {
	return a.wait(ctx, "not all messages have arrived", func() bool {
		return len(traffic.Compare(l, a.list()).Lost) == 0
	})
}

// wait waits until ok returns true. It checks at most every pollInterval.
func (a *arrivals) wait(ctx context.Context, problem string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	for {
		a.mu.Lock()
		changed := a.changed
		a.mu.Unlock()
		if ok() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", problem, ctx.Err())
		}
		if err := pause(ctx, pollInterval); err != nil {
			return fmt.Errorf("%s: %w", problem, err)
		}
	}
}

// longestGap returns the longest time between two first arrivals that ended after from and before to.
func (a *arrivals) longestGap(from, to time.Time) time.Duration {
	var longest time.Duration
	for _, s := range traffic.Silences(from, to, a.list()) {
		longest = max(longest, s.Length())
	}
	return longest
}

// recentGap is like longestGap for the time from from until now. It reads only recent arrivals, and so
// counts the arrival of a resent message, too.
func (a *arrivals) recentGap(from time.Time) time.Duration {
	all := a.list()
	if len(all) == 0 {
		return 0
	}
	longest := time.Since(all[len(all)-1].Time)
	for i := len(all) - 1; i > 0 && all[i].Time.After(from); i-- {
		longest = max(longest, all[i].Time.Sub(all[i-1].Time))
	}
	return longest
}
