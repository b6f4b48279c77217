// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

// While a user changes the duration of the Lease, the members have different ones.
func TestUseLease_AnyTwoDurations_HeartbeatsKeepTheConnection(t *testing.T) {
	durations := []time.Duration{3 * time.Second, 5 * time.Second, 15 * time.Second, time.Minute}
	for _, d := range durations {
		m, group := &Member{cfg: Config{Lease: &LeaseConfig{Cluster: &rest.Config{}, Duration: d}}}, peer.Config{}
		if err := m.useLease(&group, "key"); err != nil {
			t.Fatal(err)
		}
		for _, other := range durations {
			cfg := role.Config{Duration: other}
			if beat := cfg.Heartbeat(); group.Silence < 3*beat {
				t.Errorf("a member with %s permits a silence of %s, and a member with %s sends heartbeats every %s", d, group.Silence, other, beat)
			}
		}
		if got := m.role.RequestTimeout; got < time.Second || got > 2*time.Second {
			t.Errorf("a member with %s expects that a request takes at most %s", d, got)
		}
	}
}

func TestAnnouncement_State_SurvivesTheProtocol(t *testing.T) {
	want := role.Announcement{
		State: role.Active, Term: role.Term{Lease: 3, Unwritten: 2}, Warm: true,
		Successor: role.ID{Pod: "a", Process: "b"}, Duration: 15 * time.Second, Activations: 4,
	}
	if got := announcementOf(stateOf(want)); got != want {
		t.Errorf("%+v became %+v", want, got)
	}
	for millis, duration := range map[int64]time.Duration{-1: 0, 1 << 62: time.Hour} {
		if got := announcementOf(peer.State{LeaseMillis: millis}).Duration; got != duration {
			t.Errorf("%d ms: the duration is %s, want %s", millis, got, duration)
		}
	}
}
