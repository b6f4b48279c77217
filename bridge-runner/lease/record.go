// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// memberPrefix is the beginning of the annotations with the members. A hash of the identity
	// follows, because an identity may be longer than the name of an annotation.
	memberPrefix = "mqttbridge.io/member-"
	// maxMembers is the largest number of members that the holder keeps in the list.
	maxMembers = 8
)

// Record is a version of the Lease.
type Record struct {
	// Missing is true if the Lease was deleted. Then the other fields are empty.
	Missing bool
	// UID changes if the Lease is deleted and created again.
	UID string
	// Holder is the identity of the active member. It is empty if there is none.
	Holder string
	// Term is the number of changes of the holder (leaseTransitions).
	Term int64
	// Duration is the validity without a renewal.
	Duration time.Duration
	// RenewTime is the time of the latest renewal by the holder's clock.
	RenewTime time.Time
	// Members are the members, oldest first.
	Members []Member
	// Since is the time at which this process first observed Holder, Term and RenewTime as they are.
	// If this process is the holder, it is the time before the request.
	Since time.Time

	version string          // resourceVersion
	raw     json.RawMessage // the object
}

// Expires returns the time at which the Lease expires without a renewal.
func (r Record) Expires() time.Time { return r.Since.Add(r.Duration) }

// Version is the resourceVersion of the Lease.
func (r Record) Version() string { return r.version }

// sameHold reports whether no member has acquired, renewed or released the Lease between two records.
func (r Record) sameHold(other Record) bool {
	return r.UID == other.UID && r.Holder == other.Holder && r.Term == other.Term && r.RenewTime.Equal(other.RenewTime)
}

// Member is an entry of the list of members.
type Member struct {
	Identity string `json:"identity"`
	// Pod is the name of the member's pod. At any time, at most one process of it lives.
	Pod string `json:"pod"`
	// Node is the name of the member's node. It is empty if it is not known.
	Node string `json:"node,omitempty"`
	// Address is the IP address and port for the other members.
	Address string `json:"address"`
	// Fingerprint identifies the member's public key.
	Fingerprint string `json:"fingerprint"`
	// Started is the start of the process by the member's clock. It gives the order.
	Started time.Time `json:"started"`
	// Checked is the latest time, by the member's clock, at which the member has written the entry to
	// find out whether it can write the Lease. It is zero if it never has.
	Checked time.Time `json:"checked,omitzero"`
}

func (m Member) annotation() string {
	sum := sha256.Sum256([]byte(m.Identity))
	return memberPrefix + hex.EncodeToString(sum[:8])
}

// object is the part of the Lease that is read.
type object struct {
	Metadata struct {
		UID             string            `json:"uid"`
		ResourceVersion string            `json:"resourceVersion"`
		Annotations     map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		HolderIdentity       string           `json:"holderIdentity"`
		LeaseDurationSeconds int64            `json:"leaseDurationSeconds"`
		LeaseTransitions     int64            `json:"leaseTransitions"`
		RenewTime            metav1.MicroTime `json:"renewTime"`
	} `json:"spec"`
}

// decode decodes a Lease.
func decode(raw []byte) (Record, error) {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		return Record{}, fmt.Errorf("decoding the Lease: %w", err)
	}
	return Record{
		UID:       o.Metadata.UID,
		Holder:    o.Spec.HolderIdentity,
		Term:      o.Spec.LeaseTransitions,
		Duration:  time.Duration(o.Spec.LeaseDurationSeconds) * time.Second,
		RenewTime: o.Spec.RenewTime.Time,
		Members:   members(o.Metadata.Annotations),
		version:   o.Metadata.ResourceVersion,
		raw:       raw,
	}, nil
}

// members returns the members in the annotations, oldest first. It skips values that are no members.
func members(annotations map[string]string) []Member {
	var out []Member
	for key, value := range annotations {
		var m Member
		if strings.HasPrefix(key, memberPrefix) && json.Unmarshal([]byte(value), &m) == nil && m.annotation() == key {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b Member) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.Identity, b.Identity))
	})
	return out
}

// edit returns the object of a record with a changed spec and changed annotations. Everything else
// remains, also fields that this version does not know.
func (r Record) edit(change func(spec, annotations map[string]any)) ([]byte, error) {
	var lease map[string]any
	decoder := json.NewDecoder(bytes.NewReader(r.raw))
	decoder.UseNumber() // a float64 would change large numbers
	if err := decoder.Decode(&lease); err != nil {
		return nil, fmt.Errorf("decoding the Lease: %w", err)
	}
	metadata := child(lease, "metadata")
	delete(metadata, "managedFields") // the API server keeps them
	change(child(lease, "spec"), child(metadata, "annotations"))
	return json.Marshal(lease)
}

// child returns the object in a field. It adds the field if it is missing.
func child(parent map[string]any, field string) map[string]any {
	if existing, ok := parent[field].(map[string]any); ok {
		return existing
	}
	added := map[string]any{}
	parent[field] = added
	return added
}

// prune removes the members that are gone, the oldest members above maxMembers, except the holder,
// and the values that are no members.
func prune(list []Member, holder string, gone map[string]bool, annotations map[string]any) {
	list = slices.DeleteFunc(slices.Clone(list), func(m Member) bool { return gone[m.Identity] && m.Identity != holder })
	surplus := len(list) - maxMembers
	kept := map[string]bool{}
	for _, m := range list {
		if surplus > 0 && m.Identity != holder {
			surplus--
			continue
		}
		kept[m.annotation()] = true
	}
	for key := range annotations {
		if strings.HasPrefix(key, memberPrefix) && !kept[key] {
			delete(annotations, key)
		}
	}
}
