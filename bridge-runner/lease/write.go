// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxConflicts is the largest number of attempts of a write. An attempt is repeated if only the list
// of members has changed, which each member does once.
const maxConflicts = 10

// Acquire makes this member the holder, in a term that is later than the expected one. It removes the
// members that are gone from the list, by identity, as Renew does. It fails with ErrConflict if a member
// has acquired, renewed or released the Lease since the expected record. With ErrConflict, each
// operation also returns the record that it has found.
func (c *Client) Acquire(ctx context.Context, expected Record, term int64, gone map[string]bool) (Record, error) {
	return c.write(ctx, expected, operation{
		permitted: expected.sameHold,
		// The answer of an earlier request was lost: no other process has this identity.
		applied: func(r Record) bool { return r.Holder == c.cfg.Identity && r.Term == term },
		change: func(r Record, spec, annotations map[string]any) {
			now := microTime()
			spec["holderIdentity"] = c.cfg.Identity
			spec["leaseDurationSeconds"] = c.seconds()
			spec["leaseTransitions"] = term
			spec["acquireTime"], spec["renewTime"] = now, now
			prune(r.Members, c.cfg.Identity, gone, annotations)
		},
	})
}

// Renew extends the Lease, and restores its duration if another client has changed it. It fails with
// ErrConflict if this member does not hold it in the term of the expected record.
func (c *Client) Renew(ctx context.Context, expected Record, gone map[string]bool) (Record, error) {
	return c.write(ctx, expected, operation{
		permitted: c.holds(expected.Term),
		applied:   never,
		change: func(r Record, spec, annotations map[string]any) {
			spec["leaseDurationSeconds"], spec["renewTime"] = c.seconds(), microTime()
			prune(r.Members, c.cfg.Identity, gone, annotations)
		},
	})
}

// Release removes this member as the holder, so that another one need not wait. It fails with
// ErrConflict if this member does not hold the Lease in the term of the expected record.
func (c *Client) Release(ctx context.Context, expected Record) (Record, error) {
	return c.write(ctx, expected, operation{
		permitted: c.holds(expected.Term),
		applied:   func(r Record) bool { return r.Holder == "" && r.Term == expected.Term },
		change: func(_ Record, spec, _ map[string]any) {
			delete(spec, "holderIdentity")
			spec["renewTime"] = microTime()
		},
	})
}

// Join adds this member to the list, or replaces its entry. It removes earlier processes of its pod.
func (c *Client) Join(ctx context.Context, m Member) (Record, error) {
	value, err := json.Marshal(m)
	if err != nil {
		return Record{}, fmt.Errorf("encoding the member: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	current, err := c.get(ctx)
	if err != nil {
		return Record{}, err
	}
	return c.write(ctx, current, operation{
		permitted: func(Record) bool { return true },
		applied:   never,
		change: func(r Record, _, annotations map[string]any) {
			for _, other := range r.Members {
				if other.Pod == m.Pod {
					delete(annotations, other.annotation())
				}
			}
			annotations[m.annotation()] = string(value)
		},
	})
}

// operation is a kind of write.
type operation struct {
	// permitted reports whether the operation may replace the record.
	permitted func(Record) bool
	// applied reports whether the record is the result of the operation.
	applied func(Record) bool
	// change makes the change. r is the record that is replaced.
	change func(r Record, spec, annotations map[string]any)
}

func never(Record) bool { return false }

// holds returns a function that reports whether this member holds the Lease in the term.
func (c *Client) holds(term int64) func(Record) bool {
	return func(r Record) bool { return r.Holder == c.cfg.Identity && r.Term == term }
}

// write replaces the expected record. If the API server has another one, write replaces that one if
// the operation permits it.
func (c *Client) write(ctx context.Context, expected Record, op operation) (Record, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	for range maxConflicts {
		if expected.Missing {
			return expected, ErrNotFound
		}
		if !op.permitted(expected) {
			return expected, ErrConflict
		}
		body, err := expected.edit(func(spec, annotations map[string]any) { op.change(expected, spec, annotations) })
		if err != nil {
			return expected, err
		}
		written, err := c.put(ctx, body)
		if !errors.Is(err, ErrConflict) {
			return written, err
		}
		if expected, err = c.get(ctx); err != nil {
			return expected, err
		}
		if op.applied(expected) {
			return expected, nil
		}
	}
	return expected, ErrConflict
}

// seconds is the duration of the Lease in seconds.
func (c *Client) seconds() int64 { return int64(c.cfg.Duration / time.Second) }

// microTime returns the time in the format of a Lease.
func microTime() string { return time.Now().UTC().Format(metav1.RFC3339Micro) }
