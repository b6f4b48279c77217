// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

// Status is the state of the member for users.
type Status struct {
	// State is the state of this process: Active, Standby and others.
	State role.State `json:"state"`
	// Since is when the process reached the state.
	Since time.Time `json:"since"`
	// Warm is true if the bridges can start at once.
	Warm bool `json:"warm"`
	// Peer is the other member. With a Lease, it is a member that is connected.
	Peer PeerStatus `json:"peer"`
	// Problem is a fault of the settings of the two members. It is empty if there is none.
	Problem string `json:"problem,omitempty"`
	// Members are the other members that are connected, by pod. It is empty without a Lease.
	Members []Connected `json:"members,omitempty"`
	// Term is the term of the claim that is written in the Lease. It is 0 if there is none.
	Term uint64 `json:"term,omitempty"`
	// Released is true if the process has released the Lease at its end.
	Released bool `json:"-"`
}

// PeerStatus is the state of the other member.
type PeerStatus struct {
	Address   string `json:"address"`
	Connected bool   `json:"connected"`
	// State is the state that the other member has announced. It is empty if it is not connected.
	State role.State `json:"state,omitempty"`
	// Warm is true if the other member has announced that its bridges can start at once.
	Warm bool `json:"warm,omitempty"`
	// Problem is why the latest attempt to connect failed. It is empty while the other member is connected,
	// whichever of them has dialled.
	Problem string `json:"problem,omitempty"`
}

// Connected is another member that is connected.
type Connected struct {
	Pod  string `json:"pod"`
	Node string `json:"node,omitempty"`
	// State is the state that the member has announced, and Since is when this member learned of it.
	State role.State `json:"state"`
	Since time.Time  `json:"since"`
	Warm  bool       `json:"warm"`
}

// Status returns the state of the member.
func (m *Member) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status
}

// updateStatus updates the status after a step.
func (m *Member) updateStatus(before role.State) {
	state := m.machine.State()
	next := m.Status()
	next.State, next.Warm = state, m.machine.Announcement().Warm
	next.Peer.State, next.Peer.Warm, next.Peer.Connected, next.Peer.Problem = "", false, len(m.conns) > 0, m.dialProblem
	if next.Peer.Connected {
		next.Peer.Problem = ""
	}
	for id := range m.conns {
		said := m.machine.Said(id)
		next.Peer.State, next.Peer.Warm = said.State, said.Warm
	}
	m.store.updateStatus(&next)
	if state != before {
		next.Since = time.Now()
		m.cfg.Log.Info("the state of this member has changed", "from", string(before), "to", string(state))
	}
	m.mu.Lock()
	changed := !reflect.DeepEqual(m.status, next)
	m.status = next
	m.mu.Unlock()
	if changed {
		m.cfg.OnChange(next)
	}
}

// updateStatus adds the state of the group.
func (s *store) updateStatus(status *Status) {
	if s == nil {
		return
	}
	m := s.member
	before := status.Members
	status.Members, status.Released = nil, s.released
	status.Term = m.machine.Written()
	for id, c := range m.conns {
		said := m.machine.Said(id)
		next := Connected{Pod: id.Pod, Node: s.roster.node(id), State: said.State, Since: time.Now(), Warm: said.Warm}
		for _, b := range before {
			if b.Pod == next.Pod && b.State == next.State {
				next.Since = b.Since
			}
		}
		status.Members = append(status.Members, next)
		status.Peer.Address = c.Address().String()
	}
	slices.SortFunc(status.Members, func(a, b Connected) int { return strings.Compare(a.Pod, b.Pod) })
}
