// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"encoding/json"
	"time"
)

// Message is a message between two members.
type Message interface {
	// kind is the name of the message in the protocol.
	kind() string
}

// State is the state of a member, as the other members need it.
type State struct {
	// Role is the name of the role. The members of a group agree on the names.
	Role string `json:"role"`
	Term
	// Warm is true if the member can take over at once.
	Warm bool `json:"warm"`
	// Successor is the identity of the member that may become active by the proof of this member's
	// death alone. It is empty if there is none.
	Successor string `json:"successor,omitempty"`
	// LeaseMillis is the member's duration of the Lease, in milliseconds. It is 0 if it is not known.
	LeaseMillis int64 `json:"leaseMs,omitempty"`
	// Activations is the number of times that the process of the member has become active. It is 0 from an
	// earlier version.
	Activations uint64 `json:"activations,omitempty"`
}

// Term orders the members that have been active. It is zero if a member has no claim to be active.
type Term struct {
	// Lease is the term of the Lease.
	Lease uint64 `json:"term"`
	// Unwritten is the number of members that have become active since then without a write of the
	// Lease.
	Unwritten uint64 `json:"unwritten,omitempty"`
}

// Hello is the first message of each end.
type Hello struct {
	// Version is the version of the protocol of the member, see [Version].
	Version  int    `json:"version"`
	Identity string `json:"identity"`
	Group    string `json:"group"`
	// Preferred is [Config.Preferred].
	Preferred bool `json:"preferred,omitempty"`
	// TimeoutMillis is [Config.Timeout], in milliseconds. It is nil if there is none, and from earlier versions.
	TimeoutMillis *int64 `json:"timeoutMs,omitempty"`
	State
}

// Heartbeat is sent at each interval, and when the state of the member changes.
type Heartbeat struct{ State }

// Query asks for the state of a member.
type Query struct {
	// ID identifies the query. The answer has the same.
	ID uint64 `json:"id"`
}

// Answer answers a query.
type Answer struct {
	ID uint64 `json:"id"`
	State
	// Rival is the identity of the member with the highest claim that the member knows, and RivalTerm is its
	// term. They are empty if there is none, if the receiver has it, or from an earlier version.
	Rival     string `json:"rival,omitempty"`
	RivalTerm Term   `json:"rivalTerm,omitzero"`
}

// AskHandOver asks the active member to hand over.
type AskHandOver struct{}

// HandOver is the last word of an active member: the receiver is active from now on, with this term.
type HandOver struct{ Term }

// goodbye is the last message on a connection that a member closes. It is reported by Ended.
type goodbye struct {
	// Leaves is true if the process of the member ends.
	Leaves bool `json:"leaves"`
}

// Knowledge is a member's knowledge about the servers of a bridge.
type Knowledge struct {
	// Bridge is the name of the bridge. It may be empty if the group has only one.
	Bridge string `json:"bridge,omitempty"`
	// Ready is true if the member can forward the messages of the bridge at once.
	Ready bool `json:"ready"`
	// HandOver is the latest request of a hand-over that the member knows, so that the next active member
	// does not treat it as a new one.
	HandOver string `json:"handOver,omitempty"`
	// Deleted is true if the deletion of the bridge is complete, so that the next active member has no
	// work. The member sends it before the HandOver.
	Deleted bool `json:"deleted,omitempty"`
	// Sides are the sides of the bridge, by name.
	Sides map[string]SideKnowledge `json:"sides,omitempty"`
}

// SideKnowledge is the knowledge about one side of a bridge.
type SideKnowledge struct {
	// Active is the name of the server in use. It is empty if there is none.
	Active string `json:"active,omitempty"`
	// ClientID is the client identifier of the member on this server. It differs from the identifier of the
	// manifest while a change is under way. It is empty if it is unknown.
	ClientID string `json:"clientID,omitempty"`
	// FreeQoS2Blocks has a bit for each block of 64 packet identifiers in which the active server holds no
	// QoS 2 message of the member: bit 0 is the block of the identifiers 1 to 64. It is 0 if nothing is
	// known.
	FreeQoS2Blocks uint64 `json:"freeQoS2Blocks,omitempty"`
	// Servers are the servers of the side, by name.
	Servers map[string]ServerKnowledge `json:"servers,omitempty"`
}

// ServerKnowledge is the knowledge about one server.
type ServerKnowledge struct {
	// URL is the URL of the server in the manifest of the member. The manifest of the other member may have
	// another server of this name. It is empty from an earlier version.
	URL string `json:"url,omitempty"`
	// FailedSince is the time of the latest failure. It is zero if the server has not failed.
	FailedSince Since `json:"failedForMs,omitzero"`
	// RefusedSince is the time since which the server refuses permanently. It is zero if it does not.
	RefusedSince Since `json:"refusedForMs,omitzero"`
	// Problem says why the member cannot use the server. It is empty if the member can.
	Problem string `json:"problem,omitempty"`
	// Clean is true if the member has ended its session on the server to hand over, and the server
	// holds no QoS 2 message of it. The member sends it before the HandOver.
	Clean bool `json:"clean,omitempty"`
}

// Since is an earlier time. It is sent as the time that has passed, in milliseconds, because the
// clocks of two members differ.
type Since struct{ time.Time }

// MarshalJSON implements [json.Marshaler].
func (s Since) MarshalJSON() ([]byte, error) {
	return json.Marshal(max(time.Since(s.Time).Milliseconds(), 0))
}

// maxSince is the longest time in the past that is accepted, in milliseconds.
const maxSince = int64(100 * 365 * 24 * time.Hour / time.Millisecond)

// UnmarshalJSON implements [json.Unmarshaler].
func (s *Since) UnmarshalJSON(data []byte) error {
	var passed int64
	if err := json.Unmarshal(data, &passed); err != nil {
		return err
	}
	s.Time = time.Now().Add(-time.Duration(min(max(passed, 0), maxSince)) * time.Millisecond)
	return nil
}

func (*Hello) kind() string       { return "Hello" }
func (*Heartbeat) kind() string   { return "Heartbeat" }
func (*Query) kind() string       { return "Query" }
func (*Answer) kind() string      { return "Answer" }
func (*AskHandOver) kind() string { return "AskHandOver" }
func (*HandOver) kind() string    { return "HandOver" }
func (*goodbye) kind() string     { return "Goodbye" }
func (*Knowledge) kind() string   { return "Knowledge" }

// newMessage returns an empty message of a kind, or nil if this version does not know the kind.
func newMessage(kind string) Message {
	for _, m := range []Message{
		new(Hello), new(Heartbeat), new(Query), new(Answer), new(AskHandOver), new(HandOver), new(goodbye), new(Knowledge),
	} {
		if m.kind() == kind {
			return m
		}
	}
	return nil
}

// replaces reports whether m makes an earlier message of the queue obsolete.
func replaces(m, earlier Message) bool {
	switch m := m.(type) {
	case *Heartbeat:
		_, ok := earlier.(*Heartbeat)
		return ok
	case *Knowledge:
		k, ok := earlier.(*Knowledge)
		return ok && k.Bridge == m.Bridge
	}
	return false
}
