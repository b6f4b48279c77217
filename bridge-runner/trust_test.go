// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/connector"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/member"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// If this process trusted knowledge that is not the latest, a server could treat a new message as the message that it holds
// under the same packet identifier, and drop it.
func TestKnowledge_OfAnotherMember_TrustsFreeBlocksOfTheServerInUseOnlyIfTheyAreTheLatest(t *testing.T) {
	earlier := &peer.Knowledge{Sides: map[string]peer.SideKnowledge{manifest.SideRemote: {
		Active: "primary", ClientID: "x", FreeQoS2Blocks: 7,
		Servers: map[string]peer.ServerKnowledge{"primary": {Clean: true}, "backup": {Clean: true}},
	}}}
	for name, tt := range map[string]struct {
		cause   member.Cause
		heard   time.Duration // before the activation
		trusted bool
		clean   bool
	}{
		"it has handed over":           {member.HandedOver, time.Minute, true, true},
		"its end was seen":             {member.PeerEnded, 10 * time.Millisecond, true, false},
		"its end was seen after a cut": {member.PeerEnded, 2 * time.Second, false, false},
		"no other member was active":   {member.Confirmed, 10 * time.Millisecond, false, false},
		"its lease has expired":        {member.LeaseExpired, 10 * time.Millisecond, false, false},
	} {
		a := activate(t, member.Activation{Cause: tt.cause, HeardAt: time.Now().Add(-tt.heard)})
		primary := failover.Knowledge{Active: true, ClientID: "x", Clean: tt.clean}
		if tt.trusted {
			primary.FreeQoS2Blocks = 7
		}
		want := map[string]failover.Knowledge{"primary": primary, "backup": {ClientID: "x", Clean: tt.clean}}
		if got := newTestKnowledge().of(manifest.SideRemote, earlier, a); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// The bridge changes its client identifier on a server. The server may hold messages of the session before, about which
// the free blocks of the next session say nothing.
func TestKnowledge_ClientIDIsNotReportedYet_NoBlocksAreFree(t *testing.T) {
	k := newTestKnowledge()
	o := k.observer(newTestReport().Remote, manifest.SideRemote, []namedServer{{"primary", "mqtt://a"}})
	want := func(when, clientID string, free bool) {
		t.Helper()
		k.mu.Lock()
		defer k.mu.Unlock()
		got := k.messageLocked(k.freeLocked()).Sides[manifest.SideRemote]
		if got.Active != "primary" || got.ClientID != clientID || got.FreeQoS2Blocks != 0 != free {
			t.Errorf("%s: the other member learns %+v", when, got)
		}
	}
	earlier, _ := openSession(t, nil)
	next, _ := openSession(t, nil)
	o.ClientIDUsed("earlier")
	o.Connected(0, time.Now())
	k.use(manifest.SideRemote, earlier)
	want("before the change", "earlier", true)
	k.use(manifest.SideRemote, next)
	want("before the report", "earlier", false)
	o.ClientIDUsed("next")
	want("after the report", "next", true)
	k.use(manifest.SideRemote, earlier)
	k.use(manifest.SideRemote, nil)
	k.use(manifest.SideRemote, earlier)
	want("after a failure during a change back", "next", true)
}

// After a drain, no session is in use. The next process suspects the messages that the server has not released.
func TestKnowledge_Drained_HasTheFreeBlocksOfTheServerInUse(t *testing.T) {
	k := newTestKnowledge()
	k.change(manifest.SideRemote, "primary", func(s *failover.Knowledge) { s.Active = true })
	k.drained(manifest.SideRemote, map[string]session.Held{"primary": {Used: true, Free: 5}, "backup": {None: true, Free: 9}})
	got := k.messageLocked(k.freeLocked()).Sides[manifest.SideRemote]
	if got.FreeQoS2Blocks != 5 || got.Servers["primary"].Clean || !got.Servers["backup"].Clean {
		t.Errorf("the other member learns %+v", got)
	}
}

// The list of servers changes while the bridge runs.
func TestKnowledge_ServersChange_MessageHasTheNewURLs(t *testing.T) {
	k := newTestKnowledge()
	o := k.observer(newTestReport().Remote, manifest.SideRemote, []namedServer{{"primary", "mqtt://a"}})
	o.Connected(0, time.Now())
	o.ServersChanged([]connector.Server{{Name: "primary", URL: "mqtt://b"}}, []int{0}, time.Now())
	if got := k.messageLocked(nil).Sides[manifest.SideRemote].Servers["primary"].URL; got != "mqtt://b" {
		t.Errorf("the URL is %q", got)
	}
}

// newTestReport returns the state of a bridge.
func newTestReport() *report.State {
	return report.NewState(manifestOf("test", "x", "mqtt://r.example", "").MQTTBridge, report.Runner(), report.NewMetrics())
}

// A message must not use an identifier of a block before the other member suspects the block: this process may be killed
// at any time.
func TestKnowledge_ActiveMember_MessageWaitsUntilTheOtherMemberSuspectsItsBlock(t *testing.T) {
	p, s, gate, a := activeMember(t)
	k := newKnowledge(s)
	k.join(a, false)
	remote, _ := openSession(t, gate)
	k.use(manifest.SideRemote, remote)
	m := &session.Outgoing{Message: session.Message{Topic: "t", QoS: 2}}
	if got := remote.Publish(m, time.Now()); got != session.Full {
		t.Errorf("publishing at first: %v, want that the message waits", got)
	}
	mqtttest.Eventually(t, testTimeout, "the message is sent", func() error {
		if got := remote.Publish(m, time.Now()); got != session.Sent {
			return fmt.Errorf("publishing: %v", got)
		}
		return nil
	})
	s.leave(a, gate)
	if err := p.wait(); err != nil {
		t.Error(err)
	}
}
