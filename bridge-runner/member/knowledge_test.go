// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

// known returns the knowledge of a member about a bridge, after all earlier inputs.
func (x *machine) known(bridge string) *peer.Knowledge {
	done := make(chan bool)
	x.post(func() { close(done) })
	<-done
	return x.Knowledge(bridge)
}

// conn returns the connection to the other member, or nil.
func (x *machine) conn() *peer.Conn {
	out := make(chan *peer.Conn)
	x.post(func() {
		var conn *peer.Conn
		for _, c := range x.conns {
			conn = c.Conn
		}
		out <- conn
	})
	return <-out
}

// receives passes a message to the member, as if the other one had sent it on the connection in use.
func (x *machine) receives(message peer.Message) {
	for received := false; !received; { // the connection may just be replaced
		done := make(chan bool)
		x.post(func() {
			for _, c := range x.conns {
				x.receive(c.Conn, message)
			}
			done <- len(x.conns) > 0
		})
		received = <-done
	}
}

// reconnect closes the connection to the other member, and waits for the next one.
func (x *machine) reconnect() {
	x.t.Helper()
	var old *peer.Conn
	for end := time.Now().Add(timeout); ; time.Sleep(time.Millisecond) {
		switch conn := x.conn(); {
		case conn == nil: // the connection is just being replaced
		case old == nil:
			old = conn
			old.Close()
		case conn != old:
			return
		}
		if time.Now().After(end) {
			x.t.Fatal("the members do not connect again")
		}
	}
}

// forgetKnowledge forgets the knowledge of the other member.
func (x *machine) forgetKnowledge() {
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.knowledge)
}

// A member that was active before must not replace the knowledge of its successor by older facts, such as
// a server that has failed since.
func TestKnowledge_MemberWasActiveBefore_IsNotSentOnTheNextConnection(t *testing.T) {
	a, b := runBoth(t)
	a.SetKnowledge(&peer.Knowledge{Bridge: "x", Sides: map[string]peer.SideKnowledge{"remote": {Active: "old"}}})
	a.HandOver()
	a.want("drain", "deactivate")
	b.want("activate HandedOver")
	a.waitStatus(func(s Status) bool { return s.Peer.State == role.Active })
	b.forgetKnowledge()
	b.reconnect()
	// The state of a is newer than the messages at the beginning of the connection.
	b.HandOver()
	b.want("drain", "deactivate")
	b.waitStatus(func(s Status) bool { return s.Peer.State == role.Active })
	if k := b.known("x"); k != nil {
		t.Errorf("the member that was active before has sent %+v", k)
	}
}

func TestKnowledge_ReceivedByTheActiveMember_IsIgnored(t *testing.T) {
	a, b := runBoth(t)
	a.receives(&peer.Knowledge{Bridge: "y"})
	b.receives(&peer.Knowledge{Bridge: "y"})
	if a.known("y") != nil {
		t.Error("the active member has accepted the knowledge of its standby")
	}
	if b.known("y") == nil {
		t.Error("the standby has ignored the knowledge of the active member")
	}
}

// Two members may be active for a short time. The member that stays active keeps its knowledge.
func TestKnowledge_ActiveMemberHearsOfAnotherOne_IsSentOnTheNextConnection(t *testing.T) {
	a, b := runBoth(t)
	a.SetKnowledge(&peer.Knowledge{Bridge: "x", Sides: map[string]peer.SideKnowledge{"remote": {Active: "own"}}})
	a.post(func() { a.hear(b.role.Self, peer.State{Role: string(role.Active)}) })
	a.known("x") // after the inputs before
	b.forgetKnowledge()
	b.reconnect()
	for end := time.Now().Add(timeout); b.Knowledge("x") == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the active member has forgotten its knowledge")
		}
	}
}

// During a roll-out, a new standby may be connected to the active member and to a member that was active
// before and is not connected to the active one: that member still sends its knowledge.
func TestKnowledge_SenderWasActiveBeforeAnotherConnectedMember_IsIgnored(t *testing.T) {
	a, b := runBoth(t)
	before, third := a.role.Self, role.ID{Pod: "third", Process: "1"}
	got := make(chan bool, 1)
	b.post(func() {
		receive := func() {
			for _, c := range b.conns {
				b.receive(c.Conn, &peer.Knowledge{Bridge: "y"})
			}
			got <- b.Knowledge("y") != nil
		}
		b.step(role.PeerHeartbeat{From: before, Said: role.Announcement{State: role.Standby}})
		b.step(role.PeerConnected{From: third, Said: role.Announcement{State: role.Active, Term: role.Term{Unwritten: 9}}})
		receive()
		b.step(role.PeerGoodbye{From: third})
	})
	if <-got {
		t.Error("the knowledge of the member that was active before has been accepted")
	}
}
