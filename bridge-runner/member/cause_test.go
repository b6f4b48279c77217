// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

// The gap of a takeover begins when a member has forwarded for the last time, as far as this member knows.
func TestActivation_Takeover_BeginsWithTheLatestSignOfForwarding(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for name, tt := range map[string]struct {
		heardAt, forwardedAt time.Time
		event                role.Event
		want                 time.Time
	}{
		"by hand":                      {ago(8 * time.Second), time.Time{}, role.TakeOverRequested{}, ago(8 * time.Second)},
		"by hand, active before":       {ago(time.Hour), ago(9 * time.Second), role.TakeOverRequested{}, ago(9 * time.Second)},
		"by hand, nothing heard":       {time.Time{}, time.Time{}, role.TakeOverRequested{}, now},
		"proof":                        {ago(time.Second), ago(time.Minute), role.DialFailed{To: role.ID{Pod: "b"}, Dead: true}, ago(time.Second)},
		"proof after a lost hand-over": {ago(time.Hour), ago(time.Second), role.DialFailed{To: role.ID{Pod: "b"}, Dead: true}, ago(time.Second)},
		"handed over":                  {ago(time.Second), time.Time{}, role.PeerHandedOver{From: role.ID{Pod: "b"}, Term: role.Term{Unwritten: 1}}, now},
	} {
		m := &Member{heardAt: tt.heardAt, forwardedAt: tt.forwardedAt}
		m.machine = role.New(role.Config{Self: role.ID{Pod: "a"}, Duration: Duration, Pair: &role.Pair{Peer: "b"}}, m.now())
		m.machine.Step(tt.event, m.now())
		if m.machine.State() != role.Active {
			t.Fatalf("%s: the state is %s", name, m.machine.State())
		}
		a := m.activation(tt.event)
		if d := a.Since.Sub(tt.want); d < 0 || d > time.Second/2 {
			t.Errorf("%s: the gap begins %s late", name, d)
		}
		if !a.HeardAt.Equal(tt.heardAt) {
			t.Errorf("%s: %+v", name, a)
		}
	}
}
