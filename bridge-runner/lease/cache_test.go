// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// cachedAPI is an API server whose watches begin with an object of their own.
type cachedAPI struct {
	mu sync.Mutex // guards the fields below
	// stored and cached are the resourceVersions of the Lease in the storage and in the cache. Its holder has
	// the same name.
	stored, cached int
	// fails makes reads of the storage fail.
	fails bool
	// reads is the number of reads of the storage, also of those that have failed.
	reads int
	// next wakes a watch, which then sends the object of the cache again.
	next chan struct{}
}

func startCachedAPI(t *testing.T, stored, cached int) (*cachedAPI, *Client) {
	t.Helper()
	api := &cachedAPI{stored: stored, cached: cached, next: make(chan struct{}, 1)}
	s := httptest.NewServer(api)
	t.Cleanup(s.Close)
	c, err := New(&rest.Config{Host: s.URL}, Config{
		Namespace: namespace, Name: "x", Identity: "a", Duration: 15 * time.Second, Timeout: timeout, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return api, c
}

func (a *cachedAPI) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

// awaitReads waits for a number of reads of the storage, which may have failed.
func (a *cachedAPI) awaitReads(t *testing.T, n int) {
	t.Helper()
	mqtttest.Eventually(t, apiserver.Timeout, "reads of the storage", func() error {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.reads < n {
			return fmt.Errorf("%d reads, want %d", a.reads, n)
		}
		return nil
	})
}

func leaseJSON(version int) string {
	return fmt.Sprintf(`{"metadata":{"resourceVersion":"%d"},"spec":{"holderIdentity":"%d"}}`, version, version)
}

func (a *cachedAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("watch") == "" {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.reads++
		if a.fails {
			http.Error(w, "", http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprint(w, leaseJSON(a.stored))
		return
	}
	for r.Context().Err() == nil {
		a.mu.Lock()
		_, _ = fmt.Fprintf(w, `{"type":"ADDED","object":%s}`, leaseJSON(a.cached))
		a.mu.Unlock()
		_ = http.NewResponseController(w).Flush()
		select {
		case <-a.next:
		case <-r.Context().Done():
		}
	}
}

// The first event of a watch is from the cache of an API server, which may be behind another API server.
func TestRun_CacheIsBehind_KeepsTheLaterRecord(t *testing.T) {
	api, c := startCachedAPI(t, 10, 9)
	must(c.Get(t.Context()))(t)
	watchWith(t, c)
	api.awaitReads(t, 2)
	api.set(func() { api.cached = 11 })
	api.next <- struct{}{}
	for r := range c.Records() {
		switch r.Holder {
		case "10":
		case "11":
			return
		default:
			t.Fatalf("observed the version %s after the version 10", r.version)
		}
	}
}

// After a restore of etcd, all versions are lower.
func TestRun_StorageIsRestored_TakesTheLowerRecord(t *testing.T) {
	api, c := startCachedAPI(t, 10, 3)
	must(c.Get(t.Context()))(t)
	api.set(func() { api.stored, api.fails = 3, true })
	watchWith(t, c)
	api.awaitReads(t, 2)
	api.set(func() { api.stored, api.cached, api.fails = 4, 4, false })
	api.next <- struct{}{}
	awaitRecord(t, c, "the restored record", heldBy("4"))
	api.set(func() { api.cached = 5 })
	api.next <- struct{}{}
	awaitRecord(t, c, "a later record", heldBy("5"))
	api.mu.Lock()
	defer api.mu.Unlock()
	if api.reads != 3 {
		t.Errorf("%d reads", api.reads)
	}
}
