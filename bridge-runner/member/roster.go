// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/lease"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

// maxRemembered is the largest number of members in a roster.
const maxRemembered = 64

// roster is the directory of a group with a Lease. It remembers members that the Lease does not list
// any more: their addresses are necessary for the proof of their death.
type roster struct {
	self role.ID
	// grace is the time for which members are trusted after the Lease was created again, until they have
	// entered themselves again.
	grace time.Duration
	// unknown receives a value when a key is not trusted: the Lease may list it by now.
	unknown chan struct{}

	mu      sync.Mutex // guards the fields below
	uid     string
	entries map[role.ID]*entry
}

// entry is a member that the Lease lists, or has listed.
type entry struct {
	lease.Member
	address netip.AddrPort
	listed  bool
	// until is the end of the trust in a member that the Lease does not list.
	until time.Time
}

func newRoster(self role.ID, grace time.Duration) *roster {
	return &roster{self: self, grace: grace, unknown: make(chan struct{}, 1), entries: map[role.ID]*entry{}}
}

// update reads the list of a record, and reports whether this process is in it.
func (r *roster) update(record lease.Record) (entered bool) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	created := record.UID != r.uid
	r.uid = record.UID
	for _, e := range r.entries {
		if e.listed && created {
			e.until = now.Add(r.grace)
		}
		e.listed = false
	}
	for _, m := range record.Members {
		id := parseIdentity(m.Identity)
		if id == r.self {
			entered = true
			continue
		}
		address, _ := netip.ParseAddrPort(m.Address) // an invalid address is not dialled
		r.entries[id] = &entry{Member: m, address: address, listed: true}
	}
	for id, e := range r.entries {
		if len(r.entries) > maxRemembered && !e.listed {
			delete(r.entries, id)
		}
	}
	return entered
}

func (r *roster) trusted(key peer.Fingerprint) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		if peer.Fingerprint(e.Fingerprint) == key && (e.listed || time.Now().Before(e.until)) {
			return true
		}
	}
	select {
	case r.unknown <- struct{}{}:
	default:
	}
	return false
}

func (r *roster) owns(id role.ID, key peer.Fingerprint) bool {
	e, ok := r.entry(id)
	return ok && peer.Fingerprint(e.Fingerprint) == key
}

// replaced: a process has the same key for its life, and an address belongs to one pod at a time.
func (r *roster) replaced(id role.ID, key peer.Fingerprint) bool {
	e, ok := r.entry(id)
	return ok && peer.Fingerprint(e.Fingerprint) != key
}

func (r *roster) addresses(_ context.Context, id role.ID) ([]netip.AddrPort, error) {
	e, ok := r.entry(id)
	if !ok || !e.address.IsValid() {
		return nil, fmt.Errorf("the Lease has no address of the member %s", identity(id))
	}
	return []netip.AddrPort{e.address}, nil
}

// keep: the Lease has the address of each member.
func (*roster) keep(netip.AddrPort) {}

// node returns the name of a member's node, or an empty string.
func (r *roster) node(id role.ID) string {
	e, _ := r.entry(id)
	return e.Node
}

func (r *roster) entry(id role.ID) (entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[id]
	if !ok {
		return entry{}, false
	}
	return *e, true
}
