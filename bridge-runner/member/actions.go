// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"slices"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

// carryOut carries out an action. e is the event that has led to it.
func (m *Member) carryOut(a role.Action, e role.Event) {
	bridges := m.cfg.Bridges
	switch a := a.(type) {
	case role.Activate:
		bridges.Activate(m.activation(e))
	case role.Deactivate:
		m.forwardedAt = time.Now()
		bridges.Deactivate()
	case role.Drain:
		m.drain()
	case role.Suspend:
		bridges.Suspend(a.Bridge)
	case role.Resume:
		bridges.Resume(a.Bridge)
		m.release(a.Bridge, 0) // they ask again
	case role.Permit:
		m.release(a.Bridge, uptime())
	default:
		m.carryOutWithPeer(a)
		m.store.carryOut(a)
	}
}

// carryOutWithPeer carries out an action that concerns the other member.
func (m *Member) carryOutWithPeer(a role.Action) {
	switch a := a.(type) {
	case role.Dial:
		m.startDial(a.To)
	case role.Announce:
		m.endpoint.SetState(m.state())
	case role.Query:
		m.send(a.To, &peer.Query{ID: a.Asked})
	case role.Answer:
		m.send(a.From, &peer.Answer{ID: a.Asked, State: m.state(), Rival: identity(a.Rival), RivalTerm: peer.Term(a.RivalTerm)})
	case role.HandOver:
		m.cfg.Log.Info("this member hands over: its sessions have ended, and the other member becomes active")
		m.send(a.To, &peer.HandOver{Term: peer.Term(a.Term)})
	case role.AskHandOver:
		m.send(a.To, &peer.AskHandOver{})
	case role.Disconnect:
		for id, c := range m.conns {
			delete(m.conns, id) // so that no message of it is processed
			c.Close()
		}
	}
}

// state is the announcement of this member, as it is sent.
func (m *Member) state() peer.State { return stateOf(m.machine.Announcement()) }

// send sends a message. If there is no connection, it is lost, as on a connection that ends.
func (m *Member) send(to role.ID, message peer.Message) {
	if c, ok := m.conns[to]; ok {
		c.Send(message)
	}
}

func (m *Member) drain() {
	m.drains++
	number := m.drains
	m.cfg.Bridges.Drain(func() {
		m.post(func() {
			if number == m.drains {
				m.step(role.Drained{})
			}
		})
	})
}

// release answers the requests for CONNECT packets of a bridge. at is the time of the permission, or 0
// if they have to ask again.
func (m *Member) release(bridge string, at time.Duration) {
	for _, permitted := range m.waiting[bridge] {
		permitted <- at // has room
	}
	delete(m.waiting, bridge)
}

// forget removes a request that has been given up.
func (m *Member) forget(bridge string, permitted chan time.Duration) {
	m.waiting[bridge] = slices.DeleteFunc(m.waiting[bridge], func(c chan time.Duration) bool { return c == permitted })
	if len(m.waiting[bridge]) == 0 {
		delete(m.waiting, bridge)
	}
}
