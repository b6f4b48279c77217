// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// opener begins connections, and records their numbers in the order in which they begin.
type opener struct {
	*Pacer
	mu     sync.Mutex // a connection may begin while the test sleeps
	began  []int
	opened []func()
}

// begin begins a connection in a goroutine, so that it may wait.
func (o *opener) begin(ctx context.Context, address string, number int) {
	go func() {
		opened, err := o.Pacer.begin(ctx, address)
		o.mu.Lock()
		defer o.mu.Unlock()
		if err == nil {
			o.began, o.opened = append(o.began, number), append(o.opened, opened)
		}
	}()
	synctest.Wait()
}

func (o *opener) want(t *testing.T, numbers ...int) {
	t.Helper()
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Equal(o.began, numbers) {
		t.Errorf("the connections %v have begun, want %v", o.began, numbers)
	}
	o.began = nil
}

// newOpener returns an opener with as many connections to the address a as may be opened at the same time.
func newOpener(t *testing.T) *opener {
	o := &opener{Pacer: NewPacer()}
	for i := range maxOpening {
		o.begin(t.Context(), "a", i)
	}
	if len(o.began) != maxOpening {
		t.Fatalf("%d connections have begun, want %d", len(o.began), maxOpening)
	}
	o.began = nil
	return o
}

func TestPacer_ManyConnections_NextBeginsWhenOneIsOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOpener(t)
		o.begin(t.Context(), "a", 100)
		o.begin(t.Context(), "a", 101)
		o.want(t)
		o.opened[7]()
		o.opened[7]()
		o.want(t, 100)
		o.opened[maxOpening]()
		o.want(t, 101)
	})
}

func TestPacer_ManyConnections_OtherServerIsNotAffected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOpener(t)
		o.begin(t.Context(), "b", 100)
		o.want(t, 100)
	})
}

func TestPacer_ServerDoesNotAnswer_NextBeginsAfterOpeningTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOpener(t)
		o.begin(t.Context(), "a", 100)
		time.Sleep(openingTime - time.Millisecond)
		o.want(t)
		time.Sleep(time.Millisecond)
		o.want(t, 100)
	})
}

func TestPacer_WaitingConnectionGivenUp_NextBeginsInItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOpener(t)
		ctx, cancel := context.WithCancel(t.Context())
		o.begin(ctx, "a", 100)
		o.begin(t.Context(), "a", 101)
		cancel()
		o.want(t)
		o.opened[0]()
		o.want(t, 101)
	})
}

func TestPacer_AllOpened_ForgetsTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOpener(t)
		for _, opened := range o.opened {
			opened()
		}
		if len(o.servers) > 0 {
			t.Errorf("%d servers are left", len(o.servers))
		}
	})
}
