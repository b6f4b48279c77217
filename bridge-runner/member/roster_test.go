// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/lease"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

func listing(uid string, members ...string) lease.Record {
	r := lease.Record{UID: uid}
	for _, m := range members {
		id := role.ID{Pod: m, Process: "1"}
		r.Members = append(r.Members, lease.Member{Identity: identity(id), Pod: m, Address: "192.0.2.1:8091", Fingerprint: "key of " + m})
	}
	return r
}

func TestRoster_Records_DecideWhoIsTrusted(t *testing.T) {
	for name, tt := range map[string]struct {
		records []lease.Record
		want    bool // b is trusted
		entered bool
	}{
		"listed":                          {[]lease.Record{listing("1", "a", "b")}, true, true},
		"not listed":                      {[]lease.Record{listing("1", "a")}, false, true},
		"removed":                         {[]lease.Record{listing("1", "a", "b"), listing("1", "a")}, false, true},
		"the Lease was created again":     {[]lease.Record{listing("1", "a", "b"), listing("2")}, true, false},
		"and the other is not listed yet": {[]lease.Record{listing("1", "a", "b"), listing("2"), listing("2", "a")}, true, true},
		"removed before, created again":   {[]lease.Record{listing("1", "b"), listing("1"), listing("2", "a")}, false, true},
	} {
		r := newRoster(role.ID{Pod: "a", Process: "1"}, time.Hour)
		entered := false
		for _, record := range tt.records {
			entered = r.update(record)
		}
		if got := r.trusted("key of b"); got != tt.want || entered != tt.entered {
			t.Errorf("%s: trusted %t, entered %t", name, got, entered)
		}
		if r.trusted("key of a") {
			t.Errorf("%s: this process trusts itself", name)
		}
	}
}

func TestRoster_UnknownKey_RequestsOneRead(t *testing.T) {
	r := newRoster(role.ID{Pod: "a", Process: "1"}, time.Hour)
	for range 3 {
		r.trusted("key of b")
	}
	if n := len(r.unknown); n != 1 {
		t.Errorf("%d reads are requested", n)
	}
}

// The end of a process is proven by another key at its address, also when the Lease does not list it
// any more.
func TestRoster_AnotherKeyAnswers_ProvesDeathOfKnownMembersOnly(t *testing.T) {
	r := newRoster(role.ID{Pod: "a", Process: "1"}, time.Hour)
	r.update(listing("1", "a", "b"))
	r.update(listing("1", "a"))
	for _, tt := range []struct {
		pod  string
		key  peer.Fingerprint
		want bool
	}{{"b", "key of b", false}, {"b", "another key", true}, {"c", "another key", false}} {
		if got := r.replaced(role.ID{Pod: tt.pod, Process: "1"}, tt.key); got != tt.want {
			t.Errorf("%+v: %t", tt, got)
		}
	}
	if addresses, err := r.addresses(t.Context(), role.ID{Pod: "b", Process: "1"}); err != nil || addresses[0].String() != "192.0.2.1:8091" {
		t.Errorf("%v, %v", addresses, err)
	}
	if _, err := r.addresses(t.Context(), role.ID{Pod: "c", Process: "1"}); err == nil {
		t.Error("an unknown member has an address")
	}
}

func TestProvesDeath_Evidence_OnlyRefusalAndAnotherProcess(t *testing.T) {
	r := newRoster(role.ID{Pod: "a", Process: "1"}, time.Hour)
	r.update(listing("1", "a", "b"))
	keyOf := func(key peer.Fingerprint) error {
		return fmt.Errorf("dialing: %w", &peer.UntrustedError{Fingerprint: key})
	}
	for name, tt := range map[string]struct {
		evidence peer.Evidence
		err      error
		want     bool
	}{
		"refused":                           {peer.Refused, errors.New("connection refused"), true},
		"no answer":                         {peer.NoAnswer, errors.New("timeout"), false},
		"another process":                   {peer.Untrusted, keyOf("another key"), true},
		"the same process, trusted no more": {peer.Untrusted, keyOf("key of b"), false},
		"a process that does not trust us":  {peer.Untrusted, errors.New("remote error: tls: bad certificate"), false},
		"a process with another protocol":   {peer.Untrusted, errors.New("no TLS"), false},
	} {
		m := &Member{directory: r}
		if got := m.provesDeath(role.ID{Pod: "b", Process: "1"}, nil, tt.evidence, tt.err); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
