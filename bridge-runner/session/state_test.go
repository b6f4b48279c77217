// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"slices"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

func inboundMessage(id uint16, qos byte, payload string) *Inbound {
	return &Inbound{Publish: packet.Publish{Topic: "a", QoS: qos, ID: id, Payload: payload}}
}

// newIncoming returns a state with pending messages of an earlier connection, whose payloads are their
// identifiers.
func newIncoming(pending uint16) *incomingState {
	i := &incomingState{}
	i.reset()
	for id := uint16(1); id <= pending; id++ {
		i.pendingAck[id] = inboundMessage(id, 1, fmt.Sprint(id))
		i.pendingAck[id].session = &Session{}
	}
	i.beginConnection()
	return i
}

func TestHeldUnderOtherID_FindsPendingMessagesOfEarlierConnectionsOnly(t *testing.T) {
	i := newIncoming(3)
	i.pendingAck[4] = inboundMessage(4, 1, "2") // the same content as message 2
	i.pendingAck[5] = inboundMessage(5, 1, "new")
	i.pendingAck[5].session = &Session{}
	held := func(qos byte, payload string) bool { return i.heldUnderOtherID(inboundMessage(9, qos, payload)) }
	check := func(state string, want ...string) {
		t.Helper()
		var got []string
		for _, payload := range []string{"1", "2", "3", "new", "absent"} {
			if held(1, payload) {
				got = append(got, payload)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: messages %q are held, want %q", state, got, want)
		}
	}
	check("at first", "1", "2", "3")
	if held(2, "1") {
		t.Error("a message of QoS 1 counts as one of QoS 2")
	}
	delete(i.pendingAck, 2)
	check("message 2 is acknowledged", "1", "2", "3") // 4 has the same content
	i.pendingAck[4].session = &Session{}
	check("message 4 has arrived again", "1", "3")
	i.dropPendingAck(1)
	check("dropped")
	i.beginConnection()
	check("on the next connection", "2", "new")
}

// A server may send tens of thousands of messages again while thousands are pending.
func TestHeldUnderOtherID_ManyPending_CostsNoMoreThanFew(t *testing.T) {
	const lookups, repetitions = 500, 50 // the best time of many short ones: the machine may be busy
	absent := make([]*Inbound, lookups)
	for n := range absent {
		absent[n] = inboundMessage(0, 1, fmt.Sprint("absent ", n))
	}
	cost := func(pending uint16) time.Duration {
		i, best := newIncoming(pending), time.Hour
		for range repetitions {
			began := time.Now()
			for _, m := range absent {
				if i.heldUnderOtherID(m) {
					t.Fatalf("%s is held", m.Payload)
				}
			}
			best = min(best, time.Since(began))
		}
		return best
	}
	few, many := cost(100), cost(10000)
	if ratio := float64(many) / float64(few); ratio > 10 {
		t.Errorf("with 10000 pending messages, a message costs %.0f times as much as with 100", ratio)
	}
}

// The server holds the message of a retired identifier, and ends the session at its PUBREL. If the next process used the
// identifier, the server would treat its message as the held one.
func TestHeld_IdentifierIsRetired_IsNotNone(t *testing.T) {
	versions(t, func(t *testing.T, p *peer) {
		l := p.new()
		m := message(2, "x")
		l.publish(m)
		l.c.Want("PUBLISH 1 qos2 t=x")
		l.c.Send(script.Ack(v5.PUBREC, 1, 0))
		l.c.Want("PUBREL 1")
		l.cut()
		p.cfg.State.GiveUp(m)
		if got := p.cfg.State.Held(); got.None {
			t.Errorf("the server holds no message: %+v", got)
		}
	})
}
