// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

// identity is the text of an ID in the protocol.
func identity(id role.ID) string {
	if id == (role.ID{}) {
		return ""
	}
	return id.Pod + "/" + id.Process
}

func parseIdentity(text string) role.ID {
	pod, process, _ := strings.Cut(text, "/")
	return role.ID{Pod: pod, Process: process}
}

func stateOf(a role.Announcement) peer.State {
	return peer.State{
		Role: string(a.State), Term: peer.Term(a.Term), Warm: a.Warm, Successor: identity(a.Successor),
		LeaseMillis: a.Duration.Milliseconds(), Activations: a.Activations,
	}
}

func announcementOf(s peer.State) role.Announcement {
	return role.Announcement{
		State: role.State(s.Role), Term: role.Term(s.Term), Warm: s.Warm, Successor: parseIdentity(s.Successor),
		Duration:    time.Duration(min(max(s.LeaseMillis, 0), maxLease.Milliseconds())) * time.Millisecond,
		Activations: s.Activations,
	}
}

// maxLease is the longest duration of the Lease that is accepted from another member.
const maxLease = time.Hour

// longestTimeout is the longest timeout that is accepted from another member.
const longestTimeout = 10 * 365 * 24 * time.Hour

// handler receives the events of connections.
type handler struct{ m *Member }

func (h handler) Connected(c *peer.Conn) { h.m.post(func() { h.m.join(c) }) }

func (h handler) Received(c *peer.Conn, message peer.Message) {
	h.m.post(func() { h.m.receive(c, message) })
}

func (h handler) Ended(c *peer.Conn, how peer.Ending, err error) {
	h.m.post(func() { h.m.ended(c, how, err) })
}

// join makes a connection the one in use to its member. If both members dial at the same time, the
// connection remains that the member with the lower identity has dialled: both ends decide equally.
func (m *Member) join(c *peer.Conn) {
	id := parseIdentity(c.Peer().Identity)
	if old, ok := m.replaced[id.Pod]; ok {
		delete(m.replaced, id.Pod)
		m.replace(old, id)
	}
	if !m.directory.owns(id, c.Fingerprint()) {
		m.cfg.Log.Error("another process has sent an identity that does not belong to its key; the connection is closed", "identity", c.Peer().Identity)
		c.Close()
		return
	}
	if old, ok := m.conns[id]; ok && old.Dialled() != c.Dialled() {
		lowerDialled := (m.role.Self.Pod < id.Pod) == old.Dialled()
		if lowerDialled && uptime()-old.since < dialTimeout {
			c.Close()
			return
		}
		old.Close()
	}
	m.conns[id], m.dialProblem = connection{c, uptime()}, ""
	m.cfg.Log.Info("connected to the other member", "address", c.Address().String(), "state", c.Peer().Role)
	m.hear(id, c.Peer().State)
	if m.role.Pair != nil {
		hello := c.Peer()
		m.compareSettings(&hello, id)
	}
	m.step(role.PeerConnected{From: id, Said: announcementOf(c.Peer().State)})
}

// compareSettings compares the settings of the two members. If they do not agree, both decide equally.
func (m *Member) compareSettings(other *peer.Hello, id role.ID) {
	preferred, preference := m.preference(other, id)
	timeout, waits := m.timeout(other)
	problem := strings.Join(slices.DeleteFunc([]string{preference, waits}, func(s string) bool { return s == "" }), "; ")
	m.mu.Lock()
	changed := m.status.Problem != problem
	m.status.Problem = problem
	m.mu.Unlock()
	if changed && problem != "" {
		m.cfg.Log.Error("the settings of the two machines do not agree", "problem", problem)
	}
	m.step(role.SettingsKnown{Preferred: preferred, Timeout: timeout})
}

// preference returns whether this member is preferred. If both or none of them are, one of them is chosen.
func (m *Member) preference(other *peer.Hello, id role.ID) (preferred bool, problem string) {
	if other.Preferred != m.cfg.Preferred {
		return m.cfg.Preferred, ""
	}
	preferred = m.role.Self.Pod < id.Pod
	return preferred, fmt.Sprintf("%s of the two machines is started with --peer-preferred, so that the machine with the lower key is treated as preferred, and this is %s machine; start exactly one of them with --peer-preferred",
		map[bool]string{true: "each", false: "none"}[other.Preferred], map[bool]string{true: "this", false: "the other"}[preferred])
}

// timeout returns the longer timeout of the two members. 0 is the longest one: the member waits. A member of an
// earlier version does not send its own.
func (m *Member) timeout(other *peer.Hello) (timeout time.Duration, problem string) {
	own := m.cfg.Timeout
	if other.TimeoutMillis == nil || *other.TimeoutMillis == own.Milliseconds() {
		return own, ""
	}
	theirs := time.Duration(min(max(*other.TimeoutMillis, 0), longestTimeout.Milliseconds())) * time.Millisecond
	if own > 0 && theirs > 0 {
		timeout = max(own, theirs)
	}
	return timeout, fmt.Sprintf("--peer-timeout is %s on this machine and %s on the other machine, so that both use %s; start both with the same value (0s means that the machine waits)", own, theirs, timeout)
}

// current returns the member at the other end if the connection is the one in use.
func (m *Member) current(c *peer.Conn) (id role.ID, ok bool) {
	id = parseIdentity(c.Peer().Identity)
	return id, c != nil && m.conns[id].Conn == c
}

// hear records when another member was last active. The own knowledge of a member that was active before is
// obsolete then. Before, the next active member may still need it, if the connection ends.
func (m *Member) hear(id role.ID, s peer.State) {
	if role.State(s.Role) != role.Active {
		return
	}
	m.heardAt, m.active = time.Now(), id
	if !m.machine.State().Claims() {
		m.endpoint.ForgetKnowledge()
	}
}

// receive processes a message of the connection in use.
func (m *Member) receive(c *peer.Conn, message peer.Message) {
	id, ok := m.current(c)
	if !ok {
		return
	}
	switch message := message.(type) {
	case *peer.Heartbeat:
		m.hear(id, message.State)
		m.step(role.PeerHeartbeat{From: id, Said: announcementOf(message.State)})
	case *peer.Query:
		m.step(role.PeerAsked{From: id, Asked: message.ID})
	case *peer.Answer:
		m.step(role.PeerAnswered{
			From: id, Said: announcementOf(message.State), Asked: message.ID,
			Rival: parseIdentity(message.Rival), RivalTerm: role.Term(message.RivalTerm),
		})
	case *peer.AskHandOver:
		m.step(role.PeerAsksHandOver{From: id})
	case *peer.HandOver:
		m.step(role.PeerHandedOver{From: id, Term: role.Term(message.Term)})
	case *peer.Knowledge:
		if m.machine.State().Claims() || m.machine.Outdated(id) {
			return // a member that was active before knows less than the active one
		}
		m.mu.Lock()
		m.knowledge[message.Bridge] = message
		m.mu.Unlock()
	}
}

// ended processes the end of a connection.
func (m *Member) ended(c *peer.Conn, how peer.Ending, err error) {
	id, ok := m.current(c)
	if !ok {
		return
	}
	delete(m.conns, id)
	if how == peer.Replaced {
		m.awaitReplacing(id)
		return
	}
	m.cfg.Log.Info("the connection to the other member has ended", "address", c.Address().String(), "how", string(how), "error", err)
	if m.machine.State() != role.Active && id == m.active && how != peer.Silent {
		m.heardAt = time.Now()
	}
	if how == peer.Left {
		m.step(role.PeerGoodbye{From: id})
		return
	}
	m.step(role.PeerEnded{From: id, Continues: how == peer.ClosedByPeer})
}

// awaitReplacing processes the end of a connection that another one with the same key has replaced. The other one
// is reported next, or was reported a moment ago.
func (m *Member) awaitReplacing(old role.ID) {
	for id := range m.conns {
		if id.Pod == old.Pod {
			m.replace(old, id)
			return
		}
	}
	m.replaced[old.Pod] = old
}

// replace processes the replacement of a connection by one of the process id. If it is the same process, nothing has
// ended, and a Dial would replace the new connection, too.
func (m *Member) replace(old, id role.ID) {
	if old != id {
		m.step(role.PeerReplaced{From: old})
	}
}

// SetKnowledge passes the knowledge about the servers of a bridge to the other member. The caller does
// not change it afterwards.
func (m *Member) SetKnowledge(k *peer.Knowledge) { m.endpoint.SetKnowledge(k) }

// Knowledge returns the knowledge of the other member about the servers of a bridge, or nil.
func (m *Member) Knowledge(bridge string) *peer.Knowledge {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.knowledge[bridge]
}
