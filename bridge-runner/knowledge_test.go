// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/member"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// newTestKnowledge returns the knowledge of a bridge whose process is not active.
func newTestKnowledge() *knowledge {
	return newKnowledge(&seat{group: newGroup(nil, slog.New(slog.DiscardHandler))})
}

// The manifests of two runners may differ for a time: a user has exchanged the URLs of the servers. The server that
// has the name "primary" here may hold messages.
func TestKnowledge_ServerOfAnotherURL_IsNotTrusted(t *testing.T) {
	refused := peer.Since{Time: time.Now()}
	for name, tt := range map[string]struct {
		url  string
		want failover.Knowledge
	}{
		"another URL":        {"mqtt://other", failover.Knowledge{Active: true}},
		"the same URL":       {"mqtt://a", failover.Knowledge{Active: true, Clean: true, FreeQoS2Blocks: 7, ClientID: "x", RefusedAt: refused.Time}},
		"an earlier version": {"", failover.Knowledge{Active: true, Clean: true, FreeQoS2Blocks: 7, ClientID: "x", RefusedAt: refused.Time}},
	} {
		k := newTestKnowledge()
		k.setURLs(manifest.SideRemote, []namedServer{{"primary", "mqtt://a"}, {"backup", "mqtt://b"}})
		earlier := &peer.Knowledge{Sides: map[string]peer.SideKnowledge{manifest.SideRemote: {
			Active: "primary", ClientID: "x", FreeQoS2Blocks: 7,
			Servers: map[string]peer.ServerKnowledge{"primary": {URL: tt.url, Clean: true, RefusedSince: refused}},
		}}}
		got := k.of(manifest.SideRemote, earlier, &activation{Activation: member.Activation{Cause: member.HandedOver}})
		if want := map[string]failover.Knowledge{"primary": tt.want}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestKnowledge_Message_HasTheURLs(t *testing.T) {
	k := newTestKnowledge()
	k.setURLs(manifest.SideRemote, []namedServer{{"primary", "mqtt://a"}})
	k.change(manifest.SideRemote, "primary", func(s *failover.Knowledge) { s.Active = true })
	if got := k.messageLocked(nil).Sides[manifest.SideRemote].Servers["primary"].URL; got != "mqtt://a" {
		t.Errorf("the URL is %q", got)
	}
}

// During a switch, the bridge uses the session of the next server before the switch is reported. The free blocks of
// this session say nothing about the server before.
func TestKnowledge_SwitchIsNotReportedYet_NoBlocksAreFree(t *testing.T) {
	k := newTestKnowledge()
	free := func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		_, ok := k.freeLocked()[manifest.SideRemote]
		return ok
	}
	inUse := func(name string) {
		k.change(manifest.SideRemote, name, func(s *failover.Knowledge) { *s = failover.Knowledge{Active: true} })
	}
	first, _ := openSession(t, nil)
	next, _ := openSession(t, nil)
	inUse("primary")
	k.use(manifest.SideRemote, first)
	if !free() {
		t.Error("the blocks of the first session are not offered")
	}
	k.use(manifest.SideRemote, next)
	if free() {
		t.Error("the blocks of the next server are offered as those of the server before")
	}
	inUse("backup")
	if !free() {
		t.Error("the blocks are not offered after the switch")
	}
	k.use(manifest.SideRemote, next) // a reconnection to the same server
	if !free() {
		t.Error("the blocks are not offered after a reconnection")
	}
	k.use(manifest.SideRemote, nil)
	k.use(manifest.SideRemote, first)
	if !free() {
		t.Error("the blocks are not offered after a failover")
	}
}
