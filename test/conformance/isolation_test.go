// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/conformance/peer"
)

const (
	// unforwardable is the cause with which the runner counts a dropped message that no server
	// accepts.
	unforwardable = "unforwardable"
	// sessionsPerPoison is the largest number of sessions that each server may end at one message
	// before the bridge drops the message.
	sessionsPerPoison = 6
	// poisonTimeout is longer than these sessions take, including the pauses between them.
	poisonTimeout = 30 * time.Second
	// maxDelay is the longest permitted delay of the other direction.
	maxDelay = 10 * time.Second
)

// poison makes servers end each session at the messages of the poison topics.
type poison struct {
	ended atomic.Int64 // number of sessions
	cut   peer.Cut
}

func (p *poison) plan(int, *peer.Connect) peer.Plan {
	return peer.Plan{Cut: func(packet *peer.Packet, fromClient bool) *peer.Cut {
		if !fromClient || packet.Type != peer.PUBLISH || !isPoison(packet.Topic) {
			return nil
		}
		p.ended.Add(1)
		cut := p.cut
		return &cut
	}}
}

func isPoison(topic string) bool { return topic == "up/poison" || topic == "down/poison" }

// isolate publishes in both directions, and in one of them also messages at which the destination
// ends each session. All other messages must arrive.
func (w *world) isolate(p *poison, from *peer.Server, qos byte, messages int) {
	w.Helper()
	w.start()
	if !w.connected(w.remotes[0]) {
		return
	}
	to := w.remotes[0]
	if from != w.local {
		to = w.local
	}
	ordinary := []*stream{
		w.stream(from, "same1", 1), w.stream(from, "same2", 2), w.stream(to, "other1", 1), w.stream(to, "other2", 2),
	}
	bad := w.stream(from, "poison", qos)
	publishSome := func(n int) {
		for range n {
			for _, s := range ordinary {
				w.publish(s, 50)
			}
		}
	}
	publishSome(30)
	for range messages {
		if !w.publishPoison(bad) {
			w.Fatal("the source has no session of the bridge")
		}
		publishSome(5)
	}
	if !w.eventually(poisonTimeout, "the bridge drops the message at which the server ends each session", func() error {
		publishSome(1)
		time.Sleep(10 * time.Millisecond)
		if n := w.ledger.waiting(bad); n > 0 {
			return fmt.Errorf("%d messages remain after %d sessions", n, p.ended.Load())
		}
		return nil
	}) {
		return
	}
	publishSome(30)
	if !w.arrived(ordinary...) {
		return
	}
	w.checkIsolation(p, ordinary[2:], messages)
}

func (w *world) checkIsolation(p *poison, others []*stream, messages int) {
	w.Helper()
	ended, limit := int(p.ended.Load()), sessionsPerPoison*messages*len(w.remotes)
	w.Logf("%d sessions ended at %d messages, the other direction was delayed by %v", ended, messages, w.ledger.slowest(others))
	if ended > limit {
		w.Errorf("%d messages ended %d sessions, want at most %d", messages, ended, limit)
	}
	if d := w.ledger.slowest(others); d > maxDelay {
		w.Errorf("the other direction was delayed by %v", d)
	}
	w.countDropped()
	for cause, n := range w.dropped {
		switch {
		case cause == unforwardable && int(n) != messages:
			w.Errorf("%v messages were dropped as %s, want %d", n, cause, messages)
		case cause != unforwardable && n > 0:
			w.Errorf("%v messages were dropped as %s", n, cause)
		}
	}
	if w.dropped[unforwardable] == 0 {
		w.Errorf("no message was counted as %s", unforwardable)
	}
}

// The bridge drops a message at which a server ends each session after a few sessions. All other
// messages arrive, in order and without a drop. The other direction is delayed only by these
// sessions.
func TestIsolation_MessageThatEndsSessions_IsDroppedAndAllOthersArrive(t *testing.T) {
	for _, tc := range []struct {
		name    string
		version v1alpha1.ProtocolVersion
		cut     peer.Cut
	}{
		{"closed", v1alpha1.ProtocolVersion311, peer.Cut{}},
		{"reset", v1alpha1.ProtocolVersion311, peer.Cut{Reset: true}},
		{"closed", v1alpha1.ProtocolVersion5, peer.Cut{}},
		{"malformed packet", v1alpha1.ProtocolVersion5, peer.Cut{Disconnect: 0x81}},
		{"topic name invalid", v1alpha1.ProtocolVersion5, peer.Cut{Disconnect: 0x90}},
		{"packet too large", v1alpha1.ProtocolVersion5, peer.Cut{Disconnect: 0x95}},
		{"quota exceeded", v1alpha1.ProtocolVersion5, peer.Cut{Disconnect: 0x97}},
		{"payload format invalid", v1alpha1.ProtocolVersion5, peer.Cut{Disconnect: 0x99}},
	} {
		for _, qos := range []byte{1, 2} {
			t.Run(fmt.Sprintf("MQTT %s, %s, QoS %d", tc.version, tc.name, qos), func(t *testing.T) {
				t.Parallel()
				p := &poison{cut: tc.cut}
				w := newWorld(t, settings{version: tc.version, remotes: 1, window: 20, ackTimeout: 5, server: onRemote(func(c *peer.Config) { c.Plan = p.plan })})
				w.isolate(p, w.local, qos, 1)
			})
		}
	}
}

func TestIsolation_OtherSettings_IsDroppedAndAllOthersArrive(t *testing.T) {
	for _, tc := range []struct {
		name     string
		remotes  int
		window   int
		disk     bool
		messages int
		down     bool // from the remote side to the local side
	}{
		{"window 1", 1, 1, false, 1, false},
		{"window 256", 1, 256, false, 1, false},
		{"disk", 1, 20, true, 1, false},
		{"three messages", 1, 20, false, 3, false},
		{"from the remote side", 1, 20, false, 1, true},
		{"backup", 2, 20, false, 1, false},
	} {
		eachVersion(t, func(t *testing.T, version v1alpha1.ProtocolVersion) {
			t.Run(tc.name, func(t *testing.T) {
				p := &poison{}
				w := newWorld(t, settings{version: version, remotes: tc.remotes, window: tc.window, disk: tc.disk, ackTimeout: 5, server: func(c *peer.Config) { c.Plan = p.plan }})
				from := w.local
				if tc.down {
					from = w.remotes[0]
				}
				w.isolate(p, from, 1, tc.messages)
			})
		})
	}
}
