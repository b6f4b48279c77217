// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package lease reads and writes the Lease of a group of runner processes (coordination.k8s.io/v1).
// The Lease says which member is active, and lists the members with their addresses and keys.
//
// It promises:
//
//   - Of several members that acquire the Lease from the same record, exactly one succeeds: each
//     write names the resourceVersion that it replaces. A member that only adds itself to the list
//     does not disturb the others.
//   - An operation ends after [Config.Timeout], also if the API server never answers. A write whose
//     answer was lost may be repeated: it succeeds if the first request was applied.
//   - The validity of a Lease is judged by the clock of this process, from the moment at which it has
//     observed a change of the holder's part of the record ([Record.Since]). Clocks of other members
//     have no influence: their renewTime is for humans.
//   - Fields and annotations of other clients are preserved.
//
// The operator creates the Lease. The rights of a member are to get, watch and update it. Package
// role decides when a member acquires it.
package lease

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"k8s.io/client-go/rest"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/kubeapi"
)

const (
	// firstRetry is the pause after a watch that has worked.
	firstRetry = 200 * time.Millisecond
	// longestRetry is the longest pause between two watches. It is below the duration of a Lease, so
	// that a hand-over is observed soon after the API server is back.
	longestRetry = 5 * time.Second
)

// Config has the settings of a client.
type Config struct {
	Namespace string
	// Name is the name of the Lease.
	Name string
	// Identity is this member's. It is unique for each process.
	Identity string
	// Duration is the validity of the Lease without a renewal, in whole seconds.
	Duration time.Duration
	// Timeout is the longest time of an operation, with all its requests.
	Timeout time.Duration
	Log     *slog.Logger
}

// Client reads and writes one Lease. Its methods may be called by several goroutines.
type Client struct {
	cfg      Config
	object   *kubeapi.Object
	observed observer
}

// New returns a client of the Lease.
func New(cluster *rest.Config, cfg Config) (*Client, error) {
	if cfg.Duration < time.Second || cfg.Duration%time.Second != 0 {
		return nil, fmt.Errorf("the duration of a Lease is %s; it must be at least 1 second, in whole seconds", cfg.Duration)
	}
	// With HTTP/1.1, a request that the API server does not answer ends with its own connection. With
	// HTTP/2, the following requests would use the same one, until a ping detects it 45 seconds later.
	cluster = rest.CopyConfig(cluster)
	cluster.NextProtos = []string{"http/1.1"}
	// The holder renews the Lease more often than once per duration, so a silent watch is repeated.
	retry := kubeapi.Retry{First: firstRetry, Longest: min(longestRetry, cfg.Duration), Idle: cfg.Duration}
	object, err := kubeapi.New(cluster, retry, cfg.Name, "apis", "coordination.k8s.io", "v1", "namespaces", cfg.Namespace, "leases")
	if err != nil {
		return nil, err
	}
	return &Client{cfg: cfg, object: object, observed: newObserver(cfg.Identity)}, nil
}

// Records returns a channel with the latest record: each new one replaces a record that was not
// received. Run, Get and the writes observe records.
func (c *Client) Records() <-chan Record { return c.observed.records }

// Latest returns the latest record that was observed, and false if there is none.
func (c *Client) Latest() (Record, bool) { return c.observed.latest() }

// Run watches the Lease until the context ends.
func (c *Client) Run(ctx context.Context) {
	warned := false
	c.object.Follow(ctx, func(e kubeapi.Event) {
		mustRead, err := c.observed.event(e)
		if err != nil {
			c.cfg.Log.Warn("the Lease of the group cannot be decoded; the runner continues with the previous record", "lease", c.cfg.Name, "error", err)
		}
		if mustRead {
			_, err := c.Get(ctx)
			c.cfg.Log.Debug("the watch of the Lease has sent an older record, so that the Lease was read", "lease", c.cfg.Name, "error", err)
		}
	}, func(err error, lasting bool) {
		if lasting {
			warned = false
		}
		if err != nil && !warned {
			warned = true
			c.cfg.Log.Warn("the Lease of the group cannot be watched; the members continue in their roles, and the runner tries again", "lease", c.cfg.Name, "error", err)
			return
		}
		c.cfg.Log.Debug("the watch of the Lease has ended", "lease", c.cfg.Name, "error", err)
	})
}

// Get reads the Lease.
func (c *Client) Get(ctx context.Context) (Record, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	return c.get(ctx)
}

func (c *Client) get(ctx context.Context) (Record, error) {
	began := time.Now()
	r, err := c.request(ctx, http.MethodGet, nil)
	if err != nil {
		return Record{}, err
	}
	return c.observed.answer(r, began), nil
}

// put replaces the Lease, and observes it in the answer.
func (c *Client) put(ctx context.Context, body []byte) (Record, error) {
	r, err := c.request(ctx, http.MethodPut, body)
	if err != nil {
		return Record{}, err
	}
	return c.observed.observe(r), nil
}

// request sends a request, and returns the Lease in the answer.
func (c *Client) request(ctx context.Context, method string, body []byte) (Record, error) {
	answer, err := c.object.Do(ctx, method, body)
	if err != nil {
		return Record{}, classify(err)
	}
	return decode(answer)
}
